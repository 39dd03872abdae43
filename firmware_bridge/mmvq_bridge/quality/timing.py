"""How a file keeps time: its true rate, how steady it is, and what is missing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from mmvq_bridge.recordings import Floats, Recording

MINUTE_S: Final = 60.0
LONGEST_STEP_S: Final = 0.25  # a longer one is a gap and cuts windows (DESIGN 3.1),
LONGEST_STEP_PERIODS: Final = 3.0  # or three periods, if that is longer
BLOCK: Final = 1 << 20  # samples at a time: the steps of a week are half a gigabyte


@dataclass(frozen=True)
class Timing:
    """Of all recordings together. seconds: from first to last sample; missing_s: of these, in gaps.

    nominal_hz: as declared, or else the median step; true_hz: samples by seconds outside gaps, None if there are none;
    slowest_hz, fastest_hz: of all whole minutes without a gap, None without any; repeated: samples at the time of the
    one before.
    """

    recordings: int
    samples: int
    seconds: float
    nominal_hz: float
    declared: bool
    true_hz: float | None
    slowest_hz: float | None
    fastest_hz: float | None
    gaps: int
    longest_gap_s: float
    missing_s: float
    repeated: int


def gaps(recording: Recording, rate_hz: float) -> Floats:
    """Begin and end (k, 2), in seconds of the recording's time: its last sample before a gap and the first after it."""
    longest = max(LONGEST_STEP_S, LONGEST_STEP_PERIODS / rate_hz)
    found = [np.empty((0, 2))]
    for t in _blocks(recording.t):
        before = np.flatnonzero(np.diff(t) > longest)
        found.append(np.stack([t[before], t[before + 1]], axis=1))
    return np.concatenate(found)


def timing(recordings: Sequence[Recording], gaps: Sequence[Floats], nominal_hz: float, declared: bool) -> Timing:
    """What the recordings' times tell; `gaps` holds those of each."""
    samples = sum(len(recording.t) for recording in recordings)
    seconds = sum(float(recording.t[-1] - recording.t[0]) for recording in recordings)
    lengths = np.concatenate([of[:, 1] - of[:, 0] for of in gaps])
    steps = samples - len(recordings) - len(lengths)
    heard_s = seconds - float(lengths.sum())
    minutes = np.concatenate([_rates(*both) for both in zip(recordings, gaps, strict=True)])
    return Timing(
        recordings=len(recordings),
        samples=samples,
        seconds=round(seconds, 3),
        nominal_hz=nominal_hz,
        declared=declared,
        true_hz=round(steps / heard_s, 4) if heard_s > 0 else None,
        slowest_hz=round(float(minutes.min()), 4) if len(minutes) else None,
        fastest_hz=round(float(minutes.max()), 4) if len(minutes) else None,
        gaps=len(lengths),
        longest_gap_s=round(float(lengths.max(initial=0.0)), 3),
        # The step over a gap holds one period that is not missing.
        missing_s=round(float((lengths - 1 / nominal_hz).sum()), 3),
        repeated=sum(int(np.count_nonzero(np.diff(t) == 0)) for recording in recordings for t in _blocks(recording.t)),
    )


def _blocks(t: Floats) -> list[Floats]:
    """Views of it; each begins with the sample that the one before ends with."""
    return [t[first : first + BLOCK + 1] for first in range(0, max(1, len(t) - 1), BLOCK)]


def _rates(recording: Recording, gaps: Floats) -> Floats:
    """Samples a second of each whole minute that no gap touches."""
    t = recording.t
    whole = int((t[-1] - t[0]) // MINUTE_S)
    edges = np.searchsorted(t, t[0] + MINUTE_S * np.arange(whole + 1))
    touched = np.zeros(whole + 1, dtype=bool)
    for begin, end in ((gaps - t[0]) // MINUTE_S).astype(int):
        touched[begin : end + 1] = True
    rates: Floats = np.array([last - first for first, last in pairwise(edges)]) / MINUTE_S
    return rates[~touched[:-1]]
