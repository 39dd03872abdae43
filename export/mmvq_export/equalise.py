"""Evened-out channels, so that one int8 range serves them all.

A ReLU lets a factor through: dividing a hidden channel by s and multiplying the next layer's column by s changes
nothing in float. With s = sqrt(largest activation / largest weight of the column) both the activations of a layer and
the columns of the next come to similar sizes, and none is left with a few of the 255 steps (SmoothQuant, Xiao et al.
2022, arXiv 2211.10438, eq. 4 at α = 1/2; cross-layer equalisation, Nagel et al. 2019, arXiv 1906.04721).
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from mmvq_train.student.model import Student
from mmvq_train.workspace import FoldedReader

LEAST: Final = 1e-3  # of an activation or a weight: a channel that is never used keeps a finite factor
BATCH: Final = 256


@torch.no_grad()
def equalise(student: Student, x: Tensor) -> None:
    """In place, from windows x (N, W, 3) of training people; outputs stay the same but for rounding.

    The student must be folded: `act`, and the reader of slots if it has one, are linear layers that all lengths share,
    so that their last hidden layers get one common factor a channel.
    """
    assert isinstance(student.act, nn.Linear)
    networks = [_linear(network) for network in student.networks]
    heads = student.heads()
    peaks = _peaks(student, networks, heads, x)
    streams, kept = student.layout.streams, 2 * student.layout.axes
    for table, (first, _), (seen, _, _) in zip(student.embed, networks, peaks, strict=True):
        factor = _factor(seen, [first.weight])
        factor /= factor[-kept:].mean()  # attributes are computed in the graph, and keep their size
        factor[-kept:] = 1
        first.weight.mul_(factor)
        table.view(streams, student.size, -1).div_(factor[:-kept].view(streams, 1, -1))
    for (first, second), (_, seen, _) in zip(networks, peaks, strict=True):
        factor = _factor(seen, [second.weight])
        _divide(first, factor)
        second.weight.mul_(factor)
    seen = torch.stack([last for _, _, last in peaks]).amax(0)
    factor = _factor(seen, [*(head.weight for head in heads), student.act.weight])
    for (_, second), head in zip(networks, heads, strict=True):
        _divide(second, factor)
        head.weight.mul_(factor)
    student.act.weight.mul_(factor)
    if student.reader is not None:
        assert isinstance(student.reader, FoldedReader)
        student.reader.ask.weight.mul_(factor)
        _divide(student.reader.answer, factor)


def _linear(network: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    first, second = (layer for layer in network.children() if isinstance(layer, nn.Linear))
    return first, second


def _divide(layer: nn.Linear, factor: Tensor) -> None:
    layer.weight.div_(factor[:, None])
    layer.bias.div_(factor)


def _factor(activation: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(n,): by which to divide a channel; activation (n,), weights each (out, n)."""
    weight = torch.stack([w.abs().amax(0) for w in weights]).amax(0)
    return (activation.clamp_min(LEAST) / weight.clamp_min(LEAST)).sqrt()


class _Peak:
    """The largest absolute value of each channel of a layer's input, (n,)."""

    def __init__(self, layer: nn.Module) -> None:
        self.value = torch.zeros(())
        self.hook = layer.register_forward_hook(self.see)

    def see(self, layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        self.value = torch.maximum(self.value, given[0].abs().amax(0))


def _peaks(
    student: Student, networks: list[tuple[nn.Linear, nn.Linear]], heads: list[nn.Linear], x: Tensor
) -> list[list[Tensor]]:
    """Of every length, over the windows: the largest features, and activations after the first and second layer."""
    peaks = [[_Peak(first), _Peak(second), _Peak(head)] for (first, second), head in zip(networks, heads, strict=True)]
    for part in x.split(BATCH):
        student(part)
    for peak in (peak for row in peaks for peak in row):
        peak.hook.remove()
    return [[peak.value for peak in row] for row in peaks]
