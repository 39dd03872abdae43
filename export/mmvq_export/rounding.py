"""Weights rounded one after the other, each making good what those before it did wrong.

GPTQ (Frantar et al. 2023, arXiv 2210.17323, algorithm 1), layer after layer, on what the integer kernels will see: a
layer is first fitted (ridge) to say of rounded features what the float one says of true ones, then its columns are
rounded in turn, and the error of each is taken over by the columns still to come. Reasons that are nearly tied keep
their order in more windows than with weights that are each rounded to the nearest (docs/lab-log.md).
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from mmvq_export.packed import Packed
from mmvq_export.trace import Deployed

DAMPING: Final = 0.1  # of the mean square of a layer's features, added to each
LEAST: Final = 1e-12
SHARES: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


Range = tuple[float, float]  # of what 8 bits hold


@torch.no_grad()
def round_weights(deployed: Deployed, x: Tensor, most: int) -> list[Range]:
    """In place, from windows x (N, W, 3) of training people: the convolutions' weights become multiples, `most` at
    most, of a step for each channel, the last product's likewise with 127.

    What ranges the features of the three layers should have: narrower than they are where a few large values would
    take steps from all others.
    """
    packed, student = deployed.networks, deployed.student
    tokens = student.tokens(student.pieces.joined(x))
    ranges = [narrowed(packed.features(*tokens), packed.first)]
    true = now = shifted(packed, tokens, ranges[0])
    for layer in (packed.first, packed.second):
        assert layer.bias is not None
        if layer is packed.second:
            ranges.append(narrowed(now, layer))
        given, said = seen(now, ranges[-1]), layer(true)
        weight = layer.weight.flatten(1).unflatten(0, (packed.lengths, -1))
        wanted = _rows(packed, said) - layer.bias.view(packed.lengths, 1, -1)
        layer.weight.copy_(rounded(weight, _rows(packed, given), wanted, most).view_as(layer.weight))
        true, now = said.relu(), layer(given).relu()
    ranges.append(narrowed(now, lambda hidden: packed.tokens(hidden) @ packed.last))
    meant, heard = (packed.tokens(one).transpose(0, 1).flatten(1, 2) for one in (true, seen(now, ranges[-1])))
    packed.last.copy_(rounded(packed.last.mT, heard, meant @ packed.last, 127).mT)
    return ranges


def shifted(packed: Packed, tokens: tuple[Tensor, Tensor], within: Range) -> Tensor:
    """Features of which attributes' second reading lies half a step higher, which the layer's bias takes back: the mean
    of both is rounded half as much (dithering)."""
    assert packed.first.bias is not None
    low, high = within
    packed.half_step.fill_((high - low) / 255 / 2)
    found = packed.features(*tokens)
    second = packed.first.weight[:, -tokens[1].flatten(2).shape[2] :].sum((1, 2, 3))
    packed.first.bias.sub_(second * packed.half_step)
    return found


def narrowed(x: Tensor, layer: Callable[[Tensor], Tensor]) -> Range:
    """The share of the range of x that lets a layer say most nearly what it says of x."""
    low, high = float(x.amin().clamp(max=0)), float(x.amax().clamp(min=0))
    wanted = layer(x)
    off = {share: float((layer(seen(x, (share * low, share * high))) - wanted).square().mean()) for share in SHARES}
    best = min(off, key=lambda share: off[share])
    return best * low, best * high


def seen(x: Tensor, within: Range) -> Tensor:
    """Values as 8 bits have them, as ONNX Runtime's quantiser lays these over a range."""
    low, high = within
    step = max((high - low) / 255, LEAST)
    zero = round(-low / step)
    return ((x / step).round() + zero).clamp(0, 255).sub(zero) * step


def rounded(weight: Tensor, given: Tensor, wanted: Tensor, most: int) -> Tensor:
    """Weights (G, n, m) of groups, as multiples of a step for each row: the largest of a row is `most` steps. given
    (G, N, m): what they are multiplied by; wanted (G, N, n): what should come out."""
    weight, given, wanted = weight.double(), given.double(), wanted.double()
    square = given.mT @ given / given.shape[1]
    damping = DAMPING * square.diagonal(dim1=1, dim2=2).mean(1).clamp_min(LEAST)
    square = square + damping[:, None, None] * torch.eye(square.shape[1]).double()
    apart = wanted - given @ weight.mT
    weight = weight + torch.linalg.solve(square, given.mT @ apart / given.shape[1]).mT
    largest = weight.abs().amax(2, keepdim=True).clamp_min(LEAST)
    pinned, step = weight.abs() >= largest, largest / most  # the row's range must stay what it is
    share = torch.linalg.cholesky(torch.linalg.inv(square), upper=True)
    found = torch.empty_like(weight)
    for i in range(weight.shape[2]):
        column = weight[:, :, i : i + 1]
        whole = (column / step).round().clamp(-most, most)
        whole = torch.where(pinned[:, :, i : i + 1], column.sign() * most, whole)
        found[:, :, i : i + 1] = whole * step
        off = (column - whole * step) / share[:, None, i : i + 1, i]
        weight[:, :, i:] -= off * share[:, None, i, i:]
    return found.float()


def _rows(packed: Packed, channels: Tensor) -> Tensor:
    """(B, groups · channels, 1, places) -> (groups, B · places, channels)."""
    return channels.squeeze(2).unflatten(1, (packed.lengths, -1)).permute(1, 0, 3, 2).flatten(1, 2)
