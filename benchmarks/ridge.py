"""sklearn's RidgeClassifier for several strengths at the price of one: the product of the features with themselves, the
dear part of tens of thousands of random convolutions, is made once."""

from collections.abc import Callable
from typing import Final

import numpy as np
from common import macro_f1
from folds import Floats, Labels
from scipy.linalg import solve

STRENGTHS: Final = tuple(10.0**k for k in range(6))


def chosen_ridge(x: Floats, y: Labels, held: Labels, classes: int) -> Callable[[Floats], Floats]:
    """What all rows of features x (N, F) with labels y (N,) train: features -> scores (N, classes). Of the strength
    that does best on rows `held` when the others train."""
    rest = np.setdiff1d(np.arange(len(y)), held)
    tried = ridge(x[rest], y[rest], classes, STRENGTHS)
    found = {strength: macro_f1(y[held], judge(x[held]).argmax(1)) for strength, judge in tried.items()}
    best = max(found, key=lambda strength: found[strength])
    return ridge(x, y, classes, (best,))[best]


def ridge(
    x: Floats, y: Labels, classes: int, strengths: tuple[float, ...]
) -> dict[float, Callable[[Floats], Floats]]:
    """Of every strength what all rows train."""
    targets = 2 * np.eye(classes, dtype=np.float32)[y] - 1
    shift, middle = targets.mean(0), x.mean(0, dtype=np.float64).astype(np.float32)
    tall = len(x) > len(middle)
    if tall:
        # of centred features: sum of (x - m)(x - m)' = sum of xx' - n mm'
        gram = (x.T @ x).astype(np.float64) - len(x) * np.outer(middle, middle).astype(np.float64)
        product = (x.T @ (targets - shift)).astype(np.float64)
    else:
        centred = x - middle
        gram, product = (centred @ centred.T).astype(np.float64), (targets - shift).astype(np.float64)

    def fitted(strength: float) -> Callable[[Floats], Floats]:
        stiffened = gram.copy(order="F")
        stiffened.flat[:: len(gram) + 1] += strength
        weights = solve(stiffened, product, assume_a="pos")
        weights = (weights if tall else centred.T @ weights).astype(np.float32)
        return lambda other: (other - middle) @ weights + shift

    return {strength: fitted(strength) for strength in strengths}
