"""Windows of 10 s in which nothing but gravity is measured (van Hees et al. 2014, as GGIR's g.calibrate has it). Pure.

Everything that is known of a device's unit and calibration comes from these: whatever way round it lies, at rest the
three axes together show 1 g.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.recordings import Floats, Recording

WINDOW_S: Final = 10.0
SHORT_S: Final = 1.0  # is enough to tell the unit, where nothing rests for longer
# GGIR's: the noise of a GENEActiv at rest, 10.9 mg, times 1.2. actipy, which stepcount uses, takes 15 mg; the lower one
# suits any device that is not noisier, and wear.py has it too.
STILL_G: Final = 0.013
MOST_G: Final = 2.0  # mean of an axis at rest, so that nothing clipped is taken for rest (GGIR)
WHOLE: Final = 0.9  # share of a window's samples that have to be there

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Windows:
    """Mean and standard deviation of each axis in each whole window, as measured: (n, 3) each."""

    mean: Floats
    deviation: Floats

    @property
    def at_rest(self) -> Floats:
        """Means (k, 3) of the still windows, if the unit is g.

        Zeros on all axes are no rest: some devices write them while they sleep.
        """
        still = (self.deviation < STILL_G).all(axis=1) & (np.abs(self.mean) < MOST_G).all(axis=1)
        return self.mean[still & self.mean.any(axis=1)]

    @property
    def gravity(self) -> float | None:
        """What is measured at rest whatever the unit is, the median; None if nothing rests.

        Still is measured against the window's own mean, as 13 mg are 128 of mm/s².
        """
        norm = np.linalg.norm(self.mean, axis=1)
        still = (self.deviation < STILL_G * norm[:, None]).all(axis=1)
        return float(np.median(norm[still])) if still.any() else None


def windows(recordings: Sequence[Recording], rate_hz: float, seconds: float = WINDOW_S) -> Windows:
    """The windows of all recordings, each from its own first sample on. rate_hz: the true one."""
    found = [_moments(xyz) for recording in recordings for xyz in _pieces(recording, rate_hz, seconds)]
    both = np.array(found, dtype=np.float64).reshape(-1, 2, 3)
    return Windows(both[:, 0], both[:, 1])


def _pieces(recording: Recording, rate_hz: float, seconds: float) -> Iterator[Values]:
    t, least = recording.t, max(2, WHOLE * seconds * rate_hz)
    edges = np.searchsorted(t, np.arange(t[0], t[-1] + seconds, seconds))
    return (recording.xyz[first:last] for first, last in pairwise(edges) if last - first >= least)


def _moments(xyz: Values) -> tuple[Floats, Floats]:
    values = xyz.astype(np.float64)  # a window's, not the file's: there is no room for that
    return values.mean(axis=0), values.std(axis=0)
