"""Windows of a signal to persistence images, what the topological teacher sees (SYSTEMS 3).

A diagram says of every valley of a 1-D signal at which height it is born and at which height it joins a deeper one.
It forgets when things happen and keeps how they rise and fall. Only teachers need it; the edge never computes it.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput

Floats = npt.NDArray[np.float64]

PERSISTENCE_FLOOR: Final = 0.01  # of a range of -1..1: shorter bars are sensor noise (published setting)
RANGE_QUANTILES: Final = (0.001, 0.999)  # a few knocks of the watch must not squeeze all the rest into one corner
NARROWEST_RANGE_G: Final = 0.02  # a watch at rest shows less than this: there is nothing to be spread over the image
NARROWEST_SIGMA: Final = 0.4  # of a pixel: a narrower Gaussian falls between the pixels' centres
ROWS_AT_ONCE: Final = 1024  # signals a chunk: its working arrays (some 25 MB) then stay small


def persistence_diagrams(
    x: npt.ArrayLike, threshold: float = 0.0
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Exact H0 persistence of the sublevel sets of many 1-D signals: x (N, W) -> births, deaths, valid, all (N, P).

    Births and deaths are in x's units, in order of death; P is the largest number of bars of any signal and `valid`
    tells bars from padding (zeros). The infinite bar and bars of persistence <= threshold are left out. Equal
    samples are taken in order of their index. Union-find (Edelsbrunner and Harer 2010, VII.1), in lockstep: step k
    takes the k-th smallest sample of every signal. A component of a 1-D signal is an interval, so its two end samples,
    each knowing the other end and the birth, are all the state there is.

    Raises BadInput if x is not 2-D, has no samples, or is not finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] == 0:
        raise BadInput(f"signals for persistence have shape {x.shape}: give (signals, samples), at least one sample")
    if not np.isfinite(x).all():
        raise BadInput(f"signal {np.argwhere(~np.isfinite(x))[0][0]} for persistence is not finite: clean it first")
    parts = [_bars(x[at : at + ROWS_AT_ONCE], threshold) for at in range(0, len(x), ROWS_AT_ONCE)]
    counts = np.concatenate([count for count, _, _ in parts]) if parts else np.empty(0, dtype=np.int64)
    valid = np.arange(counts.max(initial=0)) < counts[:, None]
    births, deaths = np.zeros(valid.shape), np.zeros(valid.shape)
    # Bars come signal by signal, in order, as the true entries of `valid` are visited.
    births[valid] = np.concatenate([birth for _, birth, _ in parts]) if parts else 0.0
    deaths[valid] = np.concatenate([death for _, _, death in parts]) if parts else 0.0
    return births, deaths, valid


@dataclass(frozen=True)
class PersistenceImager:
    """Windows (N, W, axes) in g -> images float32 (N, axes, size, size), each divided by its maximum.

    `low` and `high` (one per axis, in g) are brought to -1 and 1, what lies outside is clipped. An image's rows are
    lifetimes 0..2, its columns births -1..1; each bar is a Gaussian of deviation `sigma`, in the scaled units
    (Adams et al. 2017, unweighted as in the topological distillation line). A flat signal gives zeros.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    size: int = 32
    sigma: float = 0.03

    def __post_init__(self) -> None:
        if self.size < 2:
            raise BadInput(f"persistence images of {self.size} pixels a side: give at least 2")
        narrowest = NARROWEST_SIGMA * 2 / self.size
        if not (math.isfinite(self.sigma) and self.sigma >= narrowest):
            raise BadInput(
                f"sigma {self.sigma} of the persistence images is finer than their pixels: "
                f"at size {self.size} give at least {narrowest:.4f}, or a larger size"
            )
        if len(self.low) != len(self.high) or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise BadInput(f"range of the persistence images {self.low}..{self.high}: each low must be below its high")

    def images(self, windows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Windows (N, W, axes) in g -> float32 (N, axes, size, size) in 0..1."""
        _check_windows(windows)
        count, samples, axes = windows.shape
        if axes != len(self.low):
            raise BadInput(f"windows have {axes} axes, the persistence images were fitted on {len(self.low)}")
        low, high = np.array(self.low), np.array(self.high)
        out = np.empty((count, axes, self.size, self.size), dtype=np.float32)
        step = max(1, ROWS_AT_ONCE // axes)
        for at in range(0, count, step):
            part = (windows[at : at + step] - low) / (high - low) * 2 - 1
            signals = part.clip(-1, 1).transpose(0, 2, 1).reshape(-1, samples)
            drawn = self._draw(*persistence_diagrams(signals, PERSISTENCE_FLOOR))
            out[at : at + step] = drawn.reshape(-1, axes, self.size, self.size)
        return out

    def _draw(
        self, births: Floats, deaths: Floats, valid: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        # A round Gaussian is a product of two: one batched matrix product sums all bars of an image.
        across = self._bumps(births, -1.0)
        down = self._bumps(deaths - births, 0.0) * valid[:, :, None]
        image = down.transpose(0, 2, 1) @ across
        largest = image.max(axis=(1, 2), keepdims=True)
        largest[largest == 0] = 1
        return (image / largest).astype(np.float32, copy=False)

    def _bumps(self, centres: Floats, start: float) -> npt.NDArray[np.float32]:
        pixels = (start + (np.arange(self.size) + 0.5) * 2 / self.size).astype(np.float32)
        distance = (pixels - centres.astype(np.float32)[:, :, None]) / np.float32(self.sigma)
        return np.exp(np.float32(-0.5) * distance * distance)


def signal_range(windows: npt.NDArray[np.floating]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest value of every axis of windows (N, W, axes) but for the outermost .1 %, in g."""
    _check_windows(windows)
    if len(windows) == 0:
        raise BadInput("no training windows to learn the range of images from")
    low, high = [], []
    for axis in range(windows.shape[2]):
        bottom, top = np.quantile(windows[:, :, axis], RANGE_QUANTILES)
        spare = max(0.0, NARROWEST_RANGE_G - (top - bottom)) / 2
        low.append(float(bottom - spare))
        high.append(float(top + spare))
    return tuple(low), tuple(high)


def _check_windows(windows: npt.NDArray[np.floating]) -> None:
    if windows.ndim != 3 or 0 in windows.shape[1:]:
        raise BadInput(f"windows for persistence images have shape {windows.shape}: give (windows, samples, axes)")
    if not np.isfinite(windows).all():
        where = np.argwhere(~np.isfinite(windows))[0]
        raise BadInput(f"window {where[0]}, sample {where[1]}, axis {where[2]} is not finite: clean it first")


def _bars(x: Floats, threshold: float) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """x (n, W) -> bars of each signal (n,), and births and deaths of all of them, signal by signal."""
    count, samples = x.shape
    order = np.argsort(x, axis=1, kind="stable")  # stable: ties in order of index
    width = samples + 2  # an empty place before and after the signal, so that the ends need no rule of their own
    base = np.arange(count) * width + 1
    # By place: the other end of the component that ends here (-1: not yet taken), and that component's birth.
    other = np.full(count * width, -1, dtype=np.int64)
    born = np.full(count * width, np.inf)
    births, deaths = np.empty((count, samples)), np.empty((count, samples))
    rows = np.arange(count)
    for step in range(samples):
        here = order[:, step]
        height = x[rows, here]
        place = base + here
        left, right = other[place - 1], other[place + 1]
        # Beyond a place not yet taken the birth is still infinite.
        born_left, born_right = born[place - 1], born[place + 1]
        births[:, step] = np.maximum(born_left, born_right)  # the younger one dies; infinite: nothing joined
        deaths[:, step] = height
        begin, end = np.where(left < 0, place, left), np.where(right < 0, place, right)
        eldest = np.minimum(np.minimum(born_left, born_right), height)
        # The place itself is marked as taken: between two components it is no end and is never looked at again.
        other[place], other[begin], other[end] = place, end, begin
        born[begin], born[end] = eldest, eldest
    bar = np.isfinite(births) & (deaths - births > threshold)
    return bar.sum(axis=1), births[bar], deaths[bar]
