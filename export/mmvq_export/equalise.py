"""Evened-out channels, so that one int8 range serves them all.

A ReLU lets a factor through: dividing a hidden channel by s and multiplying the next layer's column by s changes
nothing in float. With s = sqrt(largest activation / largest weight of the column) both the activations of a layer and
the columns of the next come to similar sizes, and none is left with a few of the 255 steps (SmoothQuant, Xiao et al.
2022, arXiv 2211.10438, eq. 4 at α = 1/2; cross-layer equalisation, Nagel et al. 2019, arXiv 1906.04721). Groups of
channels are brought to one size, too, as one range holds the activations of all.
"""

from typing import Final

import torch
from torch import Tensor, nn

from mmvq_export.trace import Deployed

LEAST: Final = 1e-3  # of an activation or a weight: a channel that is never used keeps a finite factor
BATCH: Final = 256


@torch.no_grad()
def equalise(deployed: Deployed, x: Tensor) -> None:
    """In place, from windows x (N, W, 3) of training people; outputs stay the same but for rounding."""
    packed, student = deployed.networks, deployed.student
    peaks = _peaks(deployed, x)
    reading = [layer.weight.unflatten(0, (packed.lengths, -1)).flatten(2) for layer in (packed.first, packed.second)]
    features, first = (_factor(peak, weight) for peak, weight in zip(peaks[:2], reading, strict=True))
    embedded = packed.table.shape[1] * student.layout.streams
    features = features / features[:, embedded:].mean(1, keepdim=True)
    features[:, embedded:] = 1  # attributes are computed in the graph, and keep their size
    tables = packed.table.view(student.layout.streams, packed.lengths, student.size, -1).transpose(0, 1)
    tables.div_(features[:, :embedded].reshape(packed.lengths, student.layout.streams, 1, -1))
    _lift(packed.first, features)
    _lower(packed.first, first)
    _lift(packed.second, first)
    # What comes then is read by layers that all lengths share, too: but for its size, a channel has one factor.
    seen, readers = peaks[2].view(packed.lengths, -1), [*packed.last.transpose(1, 2), packed.act.weight]
    second = _factor(seen.amax(0), torch.cat(readers)[None])
    size = (seen / second).amax(1).clamp_min(LEAST)
    size = size / size.mean() if packed.reader is None else torch.ones_like(size)
    _lower(packed.second, size[:, None] * second)
    packed.last.mul_(size[:, None, None])
    packed.act_size.mul_(size[packed.length, None])
    if packed.reader is not None:
        readers.append(packed.reader.ask.weight)
        packed.reader.answer.weight.div_(second.T)
        packed.reader.answer.bias.div_(second[0])
    for weight in readers:
        weight.mul_(second)


def _factor(peak: Tensor, weight: Tensor) -> Tensor:
    """(groups, n): by which to divide a channel; peak (groups · n,) of its activation, weight (groups, outputs, n)."""
    most, peak = weight.abs().amax(1).clamp_min(LEAST), peak.view(len(weight), -1).clamp_min(LEAST)
    factor = (peak / most).sqrt()
    size = (peak / factor).amax(1, keepdim=True)
    return factor * size / size.mean()


def _lift(layer: nn.Conv2d, factor: Tensor) -> None:
    """Multiply the columns of every group by factor (groups, inputs)."""
    layer.weight.view(len(factor), -1, factor.shape[1]).mul_(factor[:, None])


def _lower(layer: nn.Conv2d, factor: Tensor) -> None:
    """Divide what every group says by factor (groups, outputs)."""
    assert layer.bias is not None
    layer.weight.div_(factor.reshape(-1, 1, 1, 1))
    layer.bias.div_(factor.flatten())


def _peaks(deployed: Deployed, x: Tensor) -> list[Tensor]:
    """The largest absolute value of every feature and of every channel of both hidden layers, over the windows."""
    packed = deployed.networks
    seen: list[list[Tensor]] = [[], [], []]
    hooks = [
        packed.first.register_forward_hook(lambda _, given, out: seen[0].append(given[0].abs().amax((0, 2, 3)))),
        packed.first.register_forward_hook(lambda _, given, out: seen[1].append(out.relu().amax((0, 2, 3)))),
        packed.second.register_forward_hook(lambda _, given, out: seen[2].append(out.relu().amax((0, 2, 3)))),
    ]
    for part in x.split(BATCH):
        deployed(part)
    for hook in hooks:
        hook.remove()
    return [torch.stack(peaks).amax(0) for peaks in seen]
