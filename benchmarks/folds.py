"""What people and folds make together: pooled macro-F1, its interval, calibration.

Macro-F1 is kept as counts, of every person, so that folds pool and people can be drawn anew.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

BINS: Final = 10  # of confidence
Counts = dict[str, list[int]]
People = dict[str, Counts]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


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


def interval(seeds: Sequence[People], others: Sequence[People] = ()) -> list[float]:
    """Macro-F1 of people pooled, mean over seeds, or what it has more than that of `others`, and its 95 % bootstrap
    interval over people (1000 draws), who are the same in all."""
    who, rng = list(seeds[0]), np.random.default_rng(0)
    draws = [range(len(who)), *rng.integers(len(who), size=(1000, len(who)))]

    def drawn(some: Sequence[People]) -> npt.NDArray[np.float64]:
        values = [[f1([one[who[i]] for i in draw]) for draw in draws] for one in some]
        return np.asarray(np.mean(values, axis=0))

    apart = drawn(seeds) - (drawn(others) if others else 0)
    return [float(apart[0]), *(float(v) for v in np.quantile(apart[1:], [0.025, 0.975]))]


def calibration_error(folds: list[dict[str, list[float]]]) -> float:
    """Expected calibration error, bins of all folds together."""
    windows, sure, right = (np.sum([fold[key] for fold in folds], axis=0) for key in ("windows", "confidence", "right"))
    return float(np.abs(sure - right).sum() / windows.sum())
