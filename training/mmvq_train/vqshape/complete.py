"""Forecast and imputation: what the net makes of series of which it sees some patches, and how far off that is.

The hidden part is hidden from the normalisation too. (Linear interpolation to the net's samples lets the last one that
is seen lean on the next raw sample, at most.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmvq_bridge.command import BadInput
from mmvq_train.vqshape.features import batches
from mmvq_train.vqshape.model import VQShape
from mmvq_train.vqshape.series import hidden_samples, interpolate, level_of_kept, random_keep

Array = npt.NDArray[np.float32]


@torch.no_grad()
def complete(model: VQShape, series: Tensor, keep: Tensor) -> Tensor:
    """Series (N, n), rebuilt from their kept patches (N, k): (N, samples)."""
    parts, done = [], 0
    for part in batches(model, series):
        parts.append(model.complete(part, keep[done : done + len(part)].to(part.device)).cpu())
        done += len(part)
    return torch.cat(parts)


def forecast(model: VQShape, x: Tensor, seen: int) -> Tensor:
    """x (N, channels, n), of which the first `seen` patches are looked at, rebuilt whole: (N, channels, samples)."""
    series = x.flatten(0, 1)
    return complete(model, series, first_patches(model, len(series), seen)).unflatten(0, x.shape[:2])


def forecast_errors(model: VQShape, x: Tensor, unit: Tensor, seen: int) -> dict[str, Any]:
    """Errors after the first `seen` patches; for comparison, of repeating the mean and the last value of those.

    unit (channels,): what errors are measured in, such as each channel's deviation in the training part.
    """
    series = x.flatten(0, 1)
    truth = interpolate(series, model.config.samples)
    keep = first_patches(model, len(series), seen)
    begin = seen * model.config.patch
    guesses = {
        "model": complete(model, series, keep),
        "mean": truth[:, :begin].mean(-1, keepdim=True).expand_as(truth),
        "last": truth[:, begin - 1 : begin].expand_as(truth),
    }
    hidden = hidden_samples(keep, model.config.patches, model.config.patch)
    return {"patches_seen": seen, "series": len(series)} | _errors(guesses, truth, hidden, unit)


def imputation_errors(model: VQShape, x: Tensor, unit: Tensor, share: float, seed: int = 0) -> dict[str, Any]:
    """Errors on int(share · patches) random patches; for comparison, of the mean of the others and of a straight line
    between the neighbours."""
    if not 1 / model.config.patches <= share <= 1 - 2 / model.config.patches:
        raise BadInput(f"--share {share:g} hides no patch, or leaves fewer than two of {model.config.patches}")
    series = x.flatten(0, 1)
    truth = interpolate(series, model.config.samples)
    generator = torch.Generator().manual_seed(seed)
    keep = random_keep(len(series), model.config.patches, share, generator=generator)
    hidden = hidden_samples(keep, model.config.patches, model.config.patch)
    guesses = {
        "model": complete(model, series, keep),
        "mean": level_of_kept(truth, keep, model.config.patch).mean.expand_as(truth),
        "line": _lines(truth, hidden),
    }
    return {"share": share, "seed": seed, "series": len(series)} | _errors(guesses, truth, hidden, unit)


def first_patches(model: VQShape, series: int, seen: int) -> Tensor:
    """Numbers (series, seen) of the first patches. Raises BadInput where that leaves nothing to see or to foretell."""
    if not 1 <= seen < model.config.patches:
        raise BadInput(f"--seen {seen} must be at least 1 and under the {model.config.patches} patches of the model")
    return torch.arange(seen).expand(series, -1)


def _errors(guesses: dict[str, Tensor], truth: Tensor, hidden: Tensor, unit: Tensor) -> dict[str, Any]:
    scale = unit.repeat(len(truth) // len(unit))[:, None]
    off = {name: ((guess - truth) / scale)[hidden] for name, guess in guesses.items()}
    return {name: {"mse": float(e.square().mean()), "mae": float(e.abs().mean())} for name, e in off.items()}


def _lines(truth: Tensor, hidden: Tensor) -> Tensor:
    at = np.arange(truth.shape[1])
    rows = zip(truth.numpy(), hidden.numpy(), strict=True)
    return torch.from_numpy(np.stack([np.interp(at, at[~gone], row[~gone]) for row, gone in rows])).float()
