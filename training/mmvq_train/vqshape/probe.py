"""One linear layer on frozen features, its strength chosen on the training part alone."""

import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, KFold

STRENGTHS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C of the logistic regression, from strong regularisation to weak
FOLDS: Final = 4
ROUNDS: Final = 200  # of L-BFGS; a fit that would want more is regularised by stopping, and judged like the others

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[Any]


def linear_probe(
    train_features: Features, y: Labels, test_features: Features, groups: npt.NDArray[Any] | None = None
) -> Labels:
    """Labels predicted for test_features (M, F) by a logistic regression on train_features (N, F), y (N,).

    Features are standardised by the training part. The regularisation is the one with the best macro-F1 in
    cross-validation on the training part; groups (N,), the subjects, keep one person's windows on one side.
    """
    found: Labels = fitted_probe(train_features, y, groups).predict(standardised(test_features, train_features))
    return found


def fitted_probe(features: Features, y: Labels, groups: npt.NDArray[Any] | None = None) -> LogisticRegression:
    """What `linear_probe` predicts by; it takes features `standardised` by these."""
    train = standardised(features, features)
    strength, _ = cross_validated(train, y, groups)
    return _fitted(strength, train, y)


def standardised(x: Features, by: Features) -> Features:
    """x (N, F) with the means and deviations of `by` taken out; what never varies there stays 0."""
    deviation = by.std(0)
    return (x - by.mean(0)) / np.where(deviation > 1e-6, deviation, 1)


def folds(y: Labels, groups: npt.NDArray[Any] | None) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Parts of the training part; none where it is too small to be cut, or a part would lack all labels but one."""
    if groups is not None and len(set(groups.tolist())) > 1:
        cut = GroupKFold(min(FOLDS, len(set(groups.tolist()))))
    elif len(y) >= 2 * FOLDS:
        cut, groups = KFold(FOLDS, shuffle=True, random_state=0), None
    else:
        return
    for train, held_out in cut.split(y, y, groups):
        if len(set(y[train].tolist())) < 2:
            return
        yield train, held_out


def cross_validated(x: Features, y: Labels, groups: npt.NDArray[Any] | None = None) -> tuple[float, float]:
    """The best strength for features x (N, F) and its macro-F1 in cross-validation; nan where N is too small for it."""
    parts = list(folds(y, groups))
    if not parts:
        return STRENGTHS[len(STRENGTHS) // 2], float("nan")
    scores = []
    for strength in STRENGTHS:
        guess = y.copy()
        for train, held_out in parts:
            guess[held_out] = _fitted(strength, x[train], y[train]).predict(x[held_out])
        scores.append(f1_score(y, guess, average="macro"))
    return STRENGTHS[int(np.argmax(scores))], float(max(scores))


def _fitted(strength: float, x: Features, y: Labels) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=ROUNDS, tol=1e-3).fit(x, y)
