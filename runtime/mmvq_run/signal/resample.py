"""Timed samples to a regular grid, as a stream: the same numbers whether fed at once or byte by byte.

Grid point k lies at k / rate seconds of stream time. One rule for gaps (DESIGN 3.1): a step of up to .25 s (or three
nominal periods, if longer) is filled by straight lines and its grid points count as patched; a longer one cuts the
stream into segments, and nothing is ever computed across a cut.

When the source is faster than the grid, a Hann-windowed sinc keeps what lies above half the grid's rate out
(anti-aliasing); its weights count each sample by the time since the one before, so that bursts weigh no more than
their duration. At equal or lower source rates nothing can alias, and straight lines are exact at the samples.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LONGEST_PATCH_S: Final = 0.25
LONGEST_PATCH_PERIODS: Final = 3.0
LOST_PERIODS: Final = 1.5  # a step longer than this many nominal periods means that a sample is missing
FASTER: Final = 1.05  # source rates within 5 % of the grid's are equal: device clocks are no better than 3 %
CUTOFF: Final = 0.45  # of the grid's rate: a little below Nyquist, as the window's slope is not vertical
HALF_WIDTH_PERIODS: Final = 3.0  # of the grid: the sinc's reach to either side, and so the delay it costs
AT_ONCE: Final = 1 << 16  # weights that are averaged by together: half a megabyte, and three times that of products
MOST_POINTS: Final = 2048  # of the grid, together
EPSILON_S: Final = 1e-7  # a tenth of the finest clock tick (1 µs) that a wearable can send


def gap_limit_s(rate_hz: float) -> float:
    """The longest step, in seconds, that is interpolated; anything longer cuts the stream."""
    return max(LONGEST_PATCH_S, LONGEST_PATCH_PERIODS / rate_hz) + EPSILON_S


@dataclass(frozen=True)
class GridSamples:
    """Consecutive grid points: index `first` onward, `xyz` float32 (n, 3) in g, `patched` bool (n,).

    `fresh` tells that a new segment starts here; within a segment, pieces join without a gap.
    """

    first: int
    xyz: npt.NDArray[np.float32]
    patched: npt.NDArray[np.bool_]
    fresh: bool


class Resampler:
    """A stream of (t, xyz) at about `source_hz` -> grid samples at `rate_hz`.

    push(t, xyz) takes float (n,) seconds, never decreasing, and (n, 3) g, both finite, and returns what became
    certain; flush() returns the rest and ends the segment. Chunking does not change the result.
    """

    def __init__(self, source_hz: float, rate_hz: float) -> None:
        self.source_hz = source_hz
        self.rate_hz = rate_hz
        self._smooth = source_hz > FASTER * rate_hz
        self._reach = HALF_WIDTH_PERIODS / rate_hz if self._smooth else 0.0
        self._clear()

    def push(self, t: npt.ArrayLike, xyz: npt.ArrayLike) -> list[GridSamples]:
        """Take samples; return the grid points that they settle."""
        times = np.asarray(t, dtype=np.float64)
        values = np.asarray(xyz, dtype=np.float64).reshape(-1, 3)
        out: list[GridSamples] = []
        if len(times) == 0:
            return out
        before = self._t[-1:] if len(self._t) else times[:1]
        steps = np.diff(times, prepend=before)
        starts = np.flatnonzero(steps > gap_limit_s(self.source_hz))
        for begin, end in zip([0, *starts], [*starts, len(times)], strict=True):
            if begin in starts:
                out += self.flush()
            self._append(times[begin:end], values[begin:end])
            out += self._settled(self._t[-1] - self._reach if len(self._t) else -math.inf)
        return out

    def flush(self) -> list[GridSamples]:
        """Return the grid points up to the last sample, and end the segment."""
        out = self._settled(self._t[-1]) if len(self._t) else []
        self._clear()
        return out

    def _clear(self) -> None:
        self._t: Floats = np.empty(0)
        self._xyz: Floats = np.empty((0, 3))
        self._step: Floats = np.empty(0)  # seconds since the sample before: its weight in the average
        self._made: npt.NDArray[np.bool_] = np.empty(0, dtype=bool)
        self._next: int | None = None
        self._fresh = True

    def _append(self, t: Floats, xyz: Floats) -> None:
        if len(t) == 0:
            return
        if self._next is None:
            self._next = math.ceil((t[0] - EPSILON_S) * self.rate_hz)
        made = np.zeros(len(t), dtype=bool)
        if len(self._t):
            t, xyz = np.concatenate([self._t[-1:], t]), np.concatenate([self._xyz[-1:], xyz])
            made = np.concatenate([self._made[-1:], made])
        t, xyz, made = self._fill(t, xyz, made)
        step = np.diff(t, prepend=t[0] - 1 / self.source_hz)
        skip = 1 if len(self._t) else 0
        self._t = np.concatenate([self._t, t[skip:]])
        self._xyz = np.concatenate([self._xyz, xyz[skip:]])
        self._made = np.concatenate([self._made, made[skip:]])
        self._step = np.concatenate([self._step, step[skip:]])

    def _fill(
        self, t: Floats, xyz: Floats, made: npt.NDArray[np.bool_]
    ) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        """Put samples on straight lines where some are missing, one a nominal period."""
        steps = np.diff(t)
        holes = np.flatnonzero(steps > LOST_PERIODS / self.source_hz)
        if len(holes) == 0:
            return t, xyz, made
        counts = np.round(steps[holes] * self.source_hz).astype(int) - 1
        new_t = [t[h] + steps[h] * np.arange(1, n + 1) / (n + 1) for h, n in zip(holes, counts, strict=True)]
        at = np.repeat(holes + 1, counts)
        filled = np.concatenate(new_t)
        lines = np.stack([np.interp(filled, t, xyz[:, axis]) for axis in range(3)], axis=1)
        return np.insert(t, at, filled), np.insert(xyz, at, lines, axis=0), np.insert(made, at, True)

    def _settled(self, until: float) -> list[GridSamples]:
        """Grid points up to stream time `until`, leaving in the buffer what later points still need."""
        if self._next is None:
            return []
        stop = math.floor((until + EPSILON_S) * self.rate_hz) + 1
        if stop <= self._next:
            return []
        grid = np.arange(self._next, stop) / self.rate_hz
        xyz, patched = self._average(grid) if self._smooth else self._lines(grid)
        out = GridSamples(self._next, xyz.astype(np.float32), patched, self._fresh)
        self._next, self._fresh = stop, False
        keep = max(0, int(np.searchsorted(self._t, stop / self.rate_hz - self._reach - EPSILON_S)) - 1)
        keep = min(keep, len(self._t) - 1)
        self._t, self._xyz = self._t[keep:], self._xyz[keep:]
        self._step, self._made = self._step[keep:], self._made[keep:]
        return [out]

    def _lines(self, grid: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        left = np.clip(np.searchsorted(self._t, grid, side="right") - 1, 0, len(self._t) - 1)
        right = np.minimum(left + 1, len(self._t) - 1)
        width = self._t[right] - self._t[left]
        share = np.clip((grid - self._t[left]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        share = np.where(width > 0, share, 0.0)
        xyz = self._xyz[left] * (1 - share)[:, None] + self._xyz[right] * share[:, None]
        made = (self._made[left] & (share < 1)) | (self._made[right] & (share > 0))
        return xyz, made

    def _average(self, grid: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        reached = np.searchsorted(self._t, grid + self._reach, side="right") - np.searchsorted(
            self._t, grid - self._reach
        )
        pieces: list[Floats] = []
        at = 0
        while at < len(grid):  # many samples may have one time: few points at once there
            most = int(reached[at : at + MOST_POINTS].max())
            some = grid[at : at + min(MOST_POINTS, max(1, AT_ONCE // most))]
            pieces.append(self._weighted(some))
            at += len(some)
        xyz = np.concatenate(pieces)
        nearest = np.clip(np.searchsorted(self._t, grid), 1, max(1, len(self._t) - 1))
        nearest = np.minimum(nearest, len(self._t) - 1)
        made = self._made[nearest] | self._made[np.maximum(nearest - 1, 0)]
        return xyz, made

    def _weighted(self, grid: Floats) -> Floats:
        first = np.searchsorted(self._t, grid - self._reach)
        last = np.searchsorted(self._t, grid + self._reach, side="right")
        reached = first[:, None] + np.arange(int((last - first).max(initial=0)))
        index = np.minimum(reached, len(self._t) - 1)
        away = self._t[index] - grid[:, None]
        taper = 0.5 + 0.5 * np.cos(np.pi * np.clip(away / self._reach, -1, 1))
        w = np.sinc(2 * CUTOFF * self.rate_hz * away) * taper * self._step[index] * (reached < last[:, None])
        # Cumulative sums, not a matrix product: sums in one order, whatever the chunk's size.
        total, weight = np.cumsum(w[:, :, None] * self._xyz[index], axis=1)[:, -1], np.cumsum(w, axis=1)[:, -1]
        return np.asarray(total / weight[:, None])
