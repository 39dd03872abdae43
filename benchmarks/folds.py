"""What people and folds make together (pooled macro-F1, its interval, calibration), and the same people's windows as
they would be had otherwise.

Macro-F1 is kept as counts, of every person, so that folds pool and people can be drawn anew.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmvq_train.compare import noisy, scaled, with_losses
from mmvq_train.config import Axis
from mmvq_train.data import mirrored
from mmvq_train.data.augment import rotation

RUNS: Final = Path("runs/accuracy")  # models of every fold, as accuracy.py leaves them
BINS: Final = 10  # of confidence
FOREARM: Final[dict[str, Axis]] = {"wisdm_watch": "x", "selfback_wrist": "y"}  # where gravity lies while people walk
Counts = dict[str, list[int]]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def disturbed(x: Tensor, forearm: Axis) -> dict[str, list[Floats]]:
    """Windows (N, W, 3) as others would be had of the same people, in one copy or several: the watch turned about the
    forearm, to both sides; worn on the other arm; and what compare.py tries in reports."""
    generator, axis = torch.Generator().manual_seed(0), torch.eye(3)[["xyz".index(forearm)]]
    found = {
        f"turned {degrees}°": [
            x @ rotation(axis, torch.tensor([sign * math.radians(degrees)]))[0] for sign in (1, -1)
        ]
        for degrees in (15, 30)
    }
    found["mirrored"] = [mirrored(x, forearm)]
    found["noise of .1 g"] = [noisy(x, 0.1, generator)]
    found["a fifth of samples lost"] = [with_losses(x, 0.2, generator)]
    found["unit off by 15 %"] = [scaled(x, factor, generator) for factor in (0.85, 1.15)]
    return {name: [copy.numpy() for copy in copies] for name, copies in found.items()}


def counts(y: Labels, guess: Labels, classes: int) -> Counts:
    """What macro-F1 is made of: windows of every class that were called so, that are so, and of which both hold."""
    return {
        "said": np.bincount(guess, minlength=classes).tolist(), "true": np.bincount(y, minlength=classes).tolist(),
        "right": np.bincount(y[y == guess], minlength=classes).tolist(),
    }


def reliability(said: Floats, y: Labels) -> dict[str, list[float]]:
    """Of windows in bins of confidence: how many, sum of confidence, and how many were right."""
    sure, right = said.max(1), said.argmax(1) == y
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return {
        name: np.bincount(place, weights=weights, minlength=BINS).tolist()
        for name, weights in (("windows", np.ones(len(y))), ("confidence", sure), ("right", right))
    }


def per_class(parts: list[Counts]) -> list[float]:
    """F1 of every class, of people's counts together; not a number where there is no such window."""
    said, true, right = (np.sum([part[key] for part in parts], axis=0) for key in ("said", "true", "right"))
    return [float(2 * r / (s + t)) if t else float("nan") for r, s, t in zip(right, said, true, strict=True)]


def f1(parts: list[Counts]) -> float:
    """Macro-F1 over the classes that occur."""
    return float(np.nanmean(per_class(parts)))


def interval(sides: list[dict[str, Counts]]) -> list[float]:
    """Macro-F1 of people pooled, or what the first side has more than the second, and its 95 % bootstrap interval over
    people (1000 draws)."""
    who, rng = list(sides[0]), np.random.default_rng(0)
    draws = [range(len(who)), *rng.integers(len(who), size=(1000, len(who)))]
    values = [[f1([side[who[i]] for i in draw]) for draw in draws] for side in sides]
    apart = np.array(values[0]) - (np.array(values[1]) if len(sides) > 1 else 0)
    return [float(apart[0]), *(float(v) for v in np.quantile(apart[1:], [0.025, 0.975]))]


def calibration_error(folds: list[dict[str, list[float]]]) -> float:
    """Expected calibration error, bins of all folds together."""
    windows, sure, right = (np.sum([fold[key] for fold in folds], axis=0) for key in ("windows", "confidence", "right"))
    return float(np.abs(sure - right).sum() / windows.sum())
