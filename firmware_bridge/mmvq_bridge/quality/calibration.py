"""Gain and offset of each axis, by gravity at rest: however a device lies, its three axes together show 1 g.

Of van Hees et al. 2014 (Journal of Applied Physiology 117:738), as GGIR's g.calibrate has it: the means of still
windows (`still`) are fitted to the unit sphere, each to the point of it that is closest, again and again until the
error stays. Without the term for temperature, which they found to help little over days.

    a point at rest  --->  gain * point + offset  --->  |..| = 1

GGIR takes 72 hours for enough, as by then a wearer has held the wrist in many ways. Here the ways themselves are
counted: a fit to few of them shows next to no error there, and may be wrong everywhere else. Pure.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.recordings import Floats, Recording, RecordingFile

SIDE_G: Final = 0.3  # that each axis has to show at rest on both sides of 0 (van Hees et al.)
# Ways to lie, and how far apart on the sphere (14°). Of simulated devices with errors at rest of 3 and 6 mg a way that
# no gain and offset explains, none of 300 got worse elsewhere by a fit to 14 to 19 ways, and 23 by one to 6 to 11.
WAYS: Final = 14
APART: Final = 0.25
GOOD_MG: Final = 10.0  # a larger error that stays is no matter of gain and offset (GGIR)
MOST_ROUNDS: Final = 1000  # as GGIR
# Change of the mean square error, in g², that ends the rounds. GGIR divides the error by the number of windows once
# more, and so ends early where there are many.
ENOUGH: Final = 1e-10
MOST_WEIGHT: Final = 100.0  # of a point: 1 / .01 g, for all that are closer (GGIR)
MORE: Final = "record longer, or lay it down in more ways"
META: Final = "mmvq.calibration"  # in a recording file: calibrated once is enough
BLOCK: Final = 1 << 20  # samples at a time

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Calibration:
    """gain, offset (g): what makes measured values true, 1 and 0 where nothing is to be done; why_not: the reason then.

    before_mg, after_mg: mean of ||a| - 1 g| over the still windows; None without any, or without a fit.
    windows: how many there are; hours: of signal that they were looked for in.
    """

    windows: int
    hours: float
    before_mg: float | None = None
    after_mg: float | None = None
    gain: Triple = (1.0, 1.0, 1.0)
    offset: Triple = (0.0, 0.0, 0.0)
    why_not: str | None = None

    @property
    def applies(self) -> bool:
        """Whether it makes values truer."""
        return self.why_not is None

    def correct(self, xyz: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Values (n, 3) as they would be from a true device."""
        return xyz * np.array(self.gain, np.float32) + np.array(self.offset, np.float32)


def calibrate(points: Floats, hours: float) -> Calibration:
    """The calibration by means at rest (n, 3) in g, found in so many hours of signal."""
    begun = Calibration(len(points), round(hours, 3))
    if len(points) == 0:
        return replace(begun, why_not="no window of 10 s is still")
    before = round(_error_mg(points), 3)
    begun = replace(begun, before_mg=before)
    unseen = [f"{sign}{axis}" for i, axis in enumerate("xyz") for sign in "+-" if not _shown(points[:, i], sign)]
    if unseen:
        return replace(begun, why_not=f"it never rested with {', '.join(unseen)} up by over {SIDE_G:g} g; {MORE}")
    ways = _ways(points)
    if ways < WAYS:
        return replace(begun, why_not=f"it rested in {ways} different ways, and {WAYS} are needed; {MORE}")
    gain, offset = _fit(points)
    after = round(_error_mg(points * gain + offset), 3)
    begun = replace(begun, after_mg=after)
    if after >= GOOD_MG:
        return replace(begun, why_not=f"{after:.1f} mg of error would stay, so it is no matter of gain and offset")
    if after >= before:
        return replace(begun, why_not="no gain and offset makes the error smaller")
    return replace(begun, gain=_triple(gain), offset=_triple(offset))


def calibrated(file: RecordingFile, calibration: Calibration) -> RecordingFile:
    """The file with values corrected, what was done in its metadata; as it is if nothing is to be done."""
    if not calibration.applies:
        return file
    done = " ".join(f"{value:.6g}" for value in (*calibration.gain, *calibration.offset))
    recordings = tuple(replace(r, xyz=_corrected(r, calibration)) for r in file.recordings)
    return replace(file, recordings=recordings, meta={**file.meta, META: done})


def _corrected(recording: Recording, calibration: Calibration) -> npt.NDArray[np.float32]:
    out = np.empty_like(recording.xyz)
    for first in range(0, len(out), BLOCK):
        out[first : first + BLOCK] = calibration.correct(recording.xyz[first : first + BLOCK])
    return out


def _fit(points: Floats) -> tuple[Floats, Floats]:
    """Gain and offset, (3,) each. A round is a weighted line an axis, from where points are to where they belong."""
    gain, offset = np.ones(3), np.zeros(3)
    weights, last = np.ones(len(points)), np.inf
    for _ in range(MOST_ROUNDS):
        now = points * gain + offset
        closest = now / np.linalg.norm(now, axis=1, keepdims=True)
        weights = weights / weights.sum()
        from_mean, to_mean = weights @ now, weights @ closest
        slope = weights @ ((now - from_mean) * (closest - to_mean)) / (weights @ (now - from_mean) ** 2)
        start = to_mean - slope * from_mean
        gain, offset = slope * gain, slope * offset + start
        distance2 = ((slope * now + start - closest) ** 2).sum(axis=1)
        error = float(weights @ distance2)
        if abs(error - last) < ENOUGH:
            break
        last = error
        weights = 1 / np.maximum(np.sqrt(distance2), 1 / MOST_WEIGHT)
    return gain, offset


def _shown(values: Floats, sign: str) -> bool:
    return bool(values.max() > SIDE_G if sign == "+" else values.min() < -SIDE_G)


def _ways(points: Floats) -> int:
    """In how many ways, APART from one another, the device lay; counted up to WAYS."""
    rest = points / np.linalg.norm(points, axis=1, keepdims=True)
    for count in range(WAYS):
        if len(rest) == 0:
            return count
        rest = rest[np.linalg.norm(rest - rest[0], axis=1) > APART]
    return WAYS


def _error_mg(points: Floats) -> float:
    return float(1000 * np.abs(np.linalg.norm(points, axis=1) - 1).mean())


def _triple(values: Floats) -> Triple:
    x, y, z = (round(float(value), 6) for value in values)
    return x, y, z
