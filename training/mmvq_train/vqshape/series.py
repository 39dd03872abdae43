"""What is done to a series before and after the net: interpolation, instance normalisation, patches, crops. Pure."""

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

FLAT: Final = 1e-5  # added to the variance, as published; a constant series then becomes zeros


class Level(NamedTuple):
    """Mean and deviation of each series, (B, 1): what instance normalisation takes out and the decoders put back."""

    mean: Tensor
    deviation: Tensor


def interpolate(x: Tensor, samples: int) -> Tensor:
    """(..., n) -> (..., samples), linear; first and last sample stay."""
    if x.shape[-1] == samples:
        return x
    flat = F.interpolate(x.reshape(-1, 1, x.shape[-1]), samples, mode="linear", align_corners=True)
    return flat.view(*x.shape[:-1], samples)


def level_of(x: Tensor) -> Level:
    """Level of series (B, samples)."""
    return Level(x.mean(-1, keepdim=True), (x.var(-1, keepdim=True) + FLAT).sqrt())


def level_of_kept(x: Tensor, keep: Tensor, patch: int) -> Level:
    """Level by the kept patches alone: x (B, samples), keep (B, n) patch numbers. What is hidden stays so."""
    return level_of(take(x.unflatten(-1, (-1, patch)), keep).flatten(1))


def take(rows: Tensor, keep: Tensor) -> Tensor:
    """rows (B, P, ...) by number: keep (B, n) -> (B, n, ...)."""
    return rows.gather(1, keep[..., None].expand(-1, -1, rows.shape[-1]))


def random_keep(
    series: int,
    patches: int,
    share: float,
    device: torch.device | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Patch numbers (series, n), ascending, that are left when int(share · patches) random ones are dropped."""
    order = torch.rand(series, patches, device=device, generator=generator).argsort(-1)
    return order[:, int(share * patches) :].sort(-1).values


def hidden_samples(keep: Tensor, patches: int, patch: int) -> Tensor:
    """bool (B, samples): true where a sample lies in a patch that is not kept."""
    hidden = torch.ones(len(keep), patches, dtype=torch.bool, device=keep.device).scatter(1, keep, False)
    return hidden.repeat_interleave(patch, dim=1)


def crop(x: Tensor, t: Tensor, length: Tensor, points: int, smoothing: int = 1) -> Tensor:
    """Pieces [t, t + length] of x (B, samples) as (B, T, points), by linear interpolation; t, length (B, T) as shares.

    A piece that would end past the series ends with it. `smoothing`: points of a centred moving average, whose ends
    repeat the first and last point.
    """
    last = x.shape[-1] - 1
    begin, end = t * last, (t + length).clamp(max=1.0) * last
    where = torch.lerp(begin[..., None], end[..., None], torch.linspace(0, 1, points, device=x.device))
    low = where.detach().floor().clamp(0, last - 1)
    index = low.long().flatten(1)
    before, after = x.gather(1, index).view_as(where), x.gather(1, index + 1).view_as(where)
    pieces = torch.lerp(before, after, where - low)
    if smoothing > 1:
        pieces = F.avg_pool1d(F.pad(pieces, (smoothing // 2, smoothing // 2), mode="replicate"), smoothing, stride=1)
    return pieces
