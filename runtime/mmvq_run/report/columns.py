"""Stretches of time to columns of a picture. A day has more windows than a screen has columns: a column shows what took
most of its time; or, of losses, whether there was any, however short. Pure."""

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

NOTHING: Final = -3  # the kind of a column in which nothing is; no kind of a stretch

Floats = npt.NDArray[np.float64]
Columns = npt.NDArray[np.int_]


def fullest(begins: Floats, ends: Floats, kinds: Columns, begin: float, end: float, count: int) -> Columns:
    """Of each of `count` columns from `begin` to `end`, the kind that takes most of its time, or NOTHING. Stretches
    (n,) are in order and apart."""
    some = (ends > begin) & (begins < end) & (ends > begins)
    begins, ends, kinds = begins[some], ends[some], kinds[some]
    if len(begins) == 0:
        return np.full(count, NOTHING)
    edges = np.linspace(begin, end, count + 1)
    cuts = np.unique(np.concatenate([edges, begins.clip(begin, end), ends.clip(begin, end)]))
    middles = (cuts[1:] + cuts[:-1]) / 2
    last = np.searchsorted(begins, middles, side="right") - 1
    inside = (last >= 0) & (middles < ends[last])
    there, which = np.unique(np.where(inside, kinds[last], NOTHING), return_inverse=True)
    taken = np.zeros((count, len(there)))
    np.add.at(taken, (np.searchsorted(edges, middles) - 1, which), np.diff(cuts))
    return np.asarray(there[taken.argmax(axis=1)])


def touched(begins: Floats, ends: Floats, begin: float, end: float, count: int) -> Columns:
    """Of each column, 0 where any of the stretches (n,) touches it, however short, else NOTHING."""
    some = (ends >= begin) & (begins < end)
    step = (end - begin) / count
    firsts = ((begins[some] - begin) / step).astype(int).clip(0, count - 1)
    lasts = np.maximum(np.ceil((ends[some] - begin) / step).astype(int) - 1, firsts).clip(0, count - 1)
    change = np.zeros(count + 1, dtype=int)
    np.add.at(change, firsts, 1)
    np.add.at(change, lasts + 1, -1)
    return np.where(np.cumsum(change)[:-1] > 0, 0, NOTHING)


def runs(columns: Columns) -> list[tuple[int, int, int]]:
    """First column, the one after the last, and kind, of columns in a row that hold the same; not those of nothing."""
    edges = [0, *(np.flatnonzero(np.diff(columns)) + 1).tolist(), len(columns)]
    return [
        (first, last, int(columns[first]))
        for first, last in pairwise(edges)
        if columns[first] != NOTHING
    ]
