"""Unit, range and resolution of what a file holds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.recordings import STANDARD_GRAVITY, Recording

AT_REST: Final = (0.9, 1.1)  # g; factory calibration is within some 5 %
BEYOND_REST: Final = 1.5  # times gravity: below it the same value again and again is rest, above it a range's end
AGAIN: Final = 3  # samples at the largest value. Unclipped, it comes once, or twice where steps are coarse
LOOKED_AT: Final = 1 << 18  # samples for the resolution: its steps show in fewer
NO_STEP_G: Final = 1e-5  # finer than the 16 bits of any sensor: what was computed has no steps

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Unit:
    """What explains a gravity that is not 1: all values divided by `divisor` are g."""

    divisor: float
    what: str


UNITS: Final = (
    Unit(STANDARD_GRAVITY, "the values are in m/s²"),
    Unit(1000.0, "the values are in mg"),
    Unit(1 / STANDARD_GRAVITY, "values in g were taken for m/s²"),
    *(Unit(n, f"they were read for {n:g} times the range that the device measured with") for n in (2.0, 4.0, 8.0)),
    *(Unit(1 / n, f"they were read for 1/{n:g} of the range that the device measured with") for n in (2.0, 4.0, 8.0)),
)


@dataclass(frozen=True)
class Axis:
    """low, high: extremes; clipped: share of samples at an end of the range; longest_run: of these, in a row.

    step: the smallest difference between two values, None where values have no steps.
    """

    name: str
    low: float
    high: float
    clipped: float
    longest_run: int
    step: float | None

    @property
    def dead(self) -> bool:
        """Whether it shows one value throughout."""
        return self.low == self.high


@dataclass(frozen=True)
class Scale:
    """gravity: what is measured at rest, the median; None if nothing rests. unit: what explains that it is not 1."""

    gravity: float | None
    unit: Unit | None
    axes: tuple[Axis, Axis, Axis]

    @property
    def is_g(self) -> bool:
        """Whether 1 g is measured at rest."""
        return self.gravity is not None and AT_REST[0] <= self.gravity <= AT_REST[1]


def scale(recordings: Sequence[Recording], gravity: float | None) -> Scale:
    """What the recordings' values tell; `gravity` as their still windows have it."""
    unit = None
    if gravity is not None and not AT_REST[0] <= gravity <= AT_REST[1]:
        unit = next((unit for unit in UNITS if AT_REST[0] <= gravity / unit.divisor <= AT_REST[1]), None)
    x, y, z = (_axis(name, [r.xyz[:, i] for r in recordings], gravity or 1.0) for i, name in enumerate("xyz"))
    return Scale(None if gravity is None else round(gravity, 5), unit, (x, y, z))


def _axis(name: str, pieces: Sequence[Values], gravity: float) -> Axis:
    low, high = float(min(map(np.min, pieces))), float(max(map(np.max, pieces)))
    count, longest = 0, 0
    for end in {low, high}:
        if abs(end) > BEYOND_REST * gravity:
            lengths = np.concatenate([_runs(piece, end) for piece in pieces])
            if lengths.sum() >= AGAIN:
                count, longest = count + int(lengths.sum()), max(longest, int(lengths.max()))
    return Axis(name, round(low, 5), round(high, 5), count / sum(map(len, pieces)), longest, _step(pieces))


def _runs(values: Values, end: float) -> npt.NDArray[np.intp]:
    """How often in a row `end` comes, for each time that it does."""
    at = np.flatnonzero(values == end)
    if len(at) == 0:
        return at
    first = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    return np.diff(first, append=len(at)).astype(np.intp)


def _step(pieces: Sequence[Values]) -> float | None:
    every = max(1, sum(map(len, pieces)) // LOOKED_AT)
    steps = np.diff(np.unique(np.concatenate([piece[::every] for piece in pieces]).astype(np.float64)))
    least = float(steps.min(initial=np.inf))
    return round(least, 6) if NO_STEP_G < least < np.inf else None
