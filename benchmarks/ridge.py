"""sklearn's RidgeClassifier for several strengths at the price of one: the product of the features with themselves, the
dear part of tens of thousands of random convolutions, is made once."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from common import macro_f1
from folds import Floats, Labels
from scipy.linalg import solve

STRENGTHS: Final = tuple(10.0**k for k in range(6))


def chosen_ridge(x: Floats, y: Labels, rest: int, classes: int) -> Callable[[Floats], Floats]:
    """What all rows of features x (N, F) with labels y (N,) train: features -> scores (N, classes). Of the strength
    that does best on the rows after the first `rest`, when only those train."""
    kernel = None if len(x) > x.shape[1] else x @ x.T
    part = None if kernel is None else kernel[:rest, :rest]
    tried = ridge(x[:rest], y[:rest], classes, STRENGTHS, part)
    found = {strength: macro_f1(y[rest:], judge(x[rest:]).argmax(1)) for strength, judge in tried.items()}
    best = max(found, key=lambda strength: found[strength])
    return ridge(x, y, classes, (best,), kernel)[best]


def ridge(
    x: Floats, y: Labels, classes: int, strengths: tuple[float, ...], kernel: Floats | None
) -> dict[float, Callable[[Floats], Floats]]:
    """Of every strength what all rows train. kernel: xx' (N, N), by which it is solved where rows are fewer than
    features; gigabytes are copied once at most."""
    targets = 2 * np.eye(classes, dtype=np.float32)[y] - 1
    shift, middle = targets.mean(0), x.mean(0, dtype=np.float64)
    aim = (targets - shift).astype(np.float64)
    # of centred features: sum of (x - m)(x - m)' = sum of xx' - n mm'
    gram = x.T @ x - len(x) * np.outer(middle, middle) if kernel is None else None

    def fitted(strength: float) -> Callable[[Floats], Floats]:
        stiffened = _centred(kernel) if kernel is not None else gram.copy(order="F")
        stiffened.flat[:: len(stiffened) + 1] += strength
        weights = solve(stiffened, aim if gram is None else x.T @ aim, assume_a="pos", overwrite_a=True)
        if gram is None:
            weights = x.T @ weights.astype(np.float32) - np.outer(middle, weights.sum(0))
        level = (shift - middle @ weights).astype(np.float32)
        weights = weights.astype(np.float32)
        return lambda other: other @ weights + level

    return {strength: fitted(strength) for strength in strengths}


def _centred(kernel: Floats) -> npt.NDArray[np.float64]:
    """Products of rows with each other once the mean of all is taken off each."""
    found = kernel.astype(np.float64, order="F")
    mean = found.mean(0)
    found -= mean
    found -= (mean - mean.mean())[:, None]
    return found
