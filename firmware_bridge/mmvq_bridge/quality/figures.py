"""All that is told of a file's quality, as one value: `lines` say it, `page` draws it, and it goes into JSON. Pure."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge.quality.calibration import META, Calibration, calibrate
from mmvq_bridge.quality.scale import Scale, scale
from mmvq_bridge.quality.still import SHORT_S, windows
from mmvq_bridge.quality.timing import Timing, gaps, timing
from mmvq_bridge.quality.wearing import Wearing, wearing
from mmvq_bridge.recordings import Floats, RecordingFile

BINS: Final = 40  # of a histogram
CELL_G: Final = 0.1  # still windows that are closer are one point of a picture
HOUR_S: Final = 3600.0


@dataclass(frozen=True)
class Rest:
    """Still windows, for pictures. points: means in g as measured, one for each CELL_G that has any.

    norm: the range of |a| in g over which `before` and `after` count windows, BINS of the same width; after
    calibration, if there is one, else the same.
    """

    points: tuple[tuple[float, float, float], ...]
    norm: tuple[float, float]
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class Quality:
    """clock_s: the device's clock at the start, in seconds since 1970 and its own time zone, where it has one."""

    name: str
    device: str
    clock_s: float | None
    notices: tuple[str, ...]
    timing: Timing
    scale: Scale
    calibration: Calibration
    rest: Rest
    wearing: tuple[Wearing, ...]

    @property
    def not_worn_s(self) -> float | None:
        """How long it was not worn, in all recordings that tell; None if none does."""
        known = [sum(end - begin for begin, end in one.not_worn) for one in self.wearing if one.knowable]
        return sum(known) if known else None

    @property
    def movement_mg(self) -> float | None:
        """Mean ENMO, in all recordings, but where it is known not to be worn; None without a minute."""
        worn = [mg for one in self.wearing for mg in one.worn_mg]
        return sum(worn) / len(worn) if worn else None


def quality(file: RecordingFile, clock_s: float | None = None) -> Quality:
    """Look at a file. A day at 100 Hz takes some seconds, and little memory beyond the file's own."""
    cuts = [gaps(recording, file.rate_hz) for recording in file.recordings]
    times = timing(file.recordings, cuts, file.rate_hz, file.rate_declared)
    rate_hz = times.true_hz or file.rate_hz
    looked_at = windows(file.recordings, rate_hz)
    gravity = looked_at.gravity or windows(file.recordings, rate_hz, SHORT_S).gravity
    values = scale(file.recordings, gravity)
    points = looked_at.at_rest
    hours = (times.seconds - times.missing_s) / HOUR_S
    found = calibrate(points, hours)
    reason = _another_reason(file, values)
    if reason:
        found = replace(Calibration(found.windows, found.hours, found.before_mg), why_not=reason)
    worn = (wearing(*of, rate_hz, found) for of in zip(file.recordings, cuts, strict=True))
    return Quality(
        name=Path(file.path).name,
        device=file.meta.get("mmvq.device", ""),
        clock_s=clock_s,
        notices=tuple(notice.removeprefix(f"{file.path}: ") for notice in file.notices),
        timing=times,
        scale=values,
        calibration=found,
        rest=_rest(points, found),
        wearing=tuple(worn),
    )


def _another_reason(file: RecordingFile, values: Scale) -> str | None:
    """Why a file is not calibrated, whatever its still windows say."""
    if META in file.meta:
        return "the file was calibrated before"
    if len(file.subjects) > 1:
        return f"it has {len(file.subjects)} wearers, who may have worn as many devices; import them one by one"
    if values.unit is not None:
        return "the unit comes first"
    return None


def _rest(points: Floats, calibration: Calibration) -> Rest:
    _, of_cell = np.unique(np.floor(points / CELL_G), axis=0, return_index=True)
    drawn = tuple((float(x), float(y), float(z)) for x, y, z in points[np.sort(of_cell)].round(3))
    before = np.linalg.norm(points, axis=1)
    after = np.linalg.norm(points * calibration.gain + calibration.offset, axis=1)
    both = np.concatenate([before, after, [1.0]])
    low, high = float(np.floor(100 * both.min()) / 100), float(np.floor(100 * both.max()) / 100) + 0.01
    counts = [tuple(np.histogram(norm, BINS, (low, high))[0].tolist()) for norm in (before, after)]
    return Rest(drawn, (round(low, 2), round(high, 2)), counts[0], counts[1])
