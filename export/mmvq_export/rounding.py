"""Weights rounded one after the other, each making good what those before it did wrong.

GPTQ (Frantar et al. 2023, arXiv 2210.17323, algorithm 1), layer after layer, on what the integer kernels will see: a
layer is first fitted (ridge) to say of rounded features what the float one says of true ones, then its columns are
rounded in turn, and the error of each is taken over by the columns still to come. Reasons that are nearly tied keep
their order in more windows than with weights that are each rounded to the nearest (docs/lab-log.md).
"""

from typing import Final

import torch
from torch import Tensor

from mmvq_export.packed import Packed
from mmvq_export.trace import Deployed

DAMPING: Final = 0.1  # of the mean square of a layer's features, added to each
LEAST: Final = 1e-12


@torch.no_grad()
def round_weights(deployed: Deployed, x: Tensor, most: int) -> None:
    """In place, from windows x (N, W, 3) of training people: the convolutions' weights become multiples, `most` at
    most, of a step for each channel, the last product's likewise with 127."""
    packed, student = deployed.networks, deployed.student
    true = packed.features(*student.tokens(student.pieces.joined(x)))
    given = seen(true)
    for layer in (packed.first, packed.second):
        assert layer.bias is not None
        said = layer(true)
        weight = layer.weight.flatten(1).unflatten(0, (packed.lengths, -1))
        wanted = _rows(packed, said) - layer.bias.view(packed.lengths, 1, -1)
        layer.weight.copy_(rounded(weight, _rows(packed, given), wanted, most).view_as(layer.weight))
        true, given = said.relu(), seen(layer(given).relu())
    meant, heard = (packed.tokens(one).transpose(0, 1).flatten(1, 2) for one in (true, given))
    packed.last.copy_(rounded(packed.last.mT, heard, meant @ packed.last, 127).mT)


def seen(x: Tensor) -> Tensor:
    """Values as 8 bits have them, one range for all, as ONNX Runtime's quantiser takes it."""
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    step = ((high - low) / 255).clamp_min(LEAST)
    zero = (-low / step).round()
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
