"""When a device was worn, and how much it moved. Pure.

Movement is ENMO, the Euclidean norm minus one (van Hees et al. 2013, PLoS ONE 8:e61691): the mean of max(|a| - 1 g, 0).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.quality.calibration import Calibration
from mmvq_bridge.quality.timing import MINUTE_S
from mmvq_bridge.recordings import Floats, Recording
from mmvq_bridge.wear import GAP_S, HOUR, WearDetector

THERE: Final = 0.5  # of a minute's samples, below which it counts as missing

Stretch = tuple[float, float]


@dataclass(frozen=True)
class Wearing:
    """Of a recording, in seconds from its first sample.

    seconds: to its last; enmo_mg: of each minute, None for one that is missing; not_worn: stretches, gaps left out;
    knowable: whether it is long enough in one piece to tell.
    """

    recording: int
    subject: str
    seconds: float
    enmo_mg: tuple[float | None, ...]
    not_worn: tuple[Stretch, ...]
    knowable: bool

    @property
    def worn_mg(self) -> list[float]:
        """ENMO of the minutes that are there and in whose middle it was worn."""
        middles = ((MINUTE_S * (minute + 0.5), mg) for minute, mg in enumerate(self.enmo_mg))
        return [mg for t, mg in middles if mg is not None and not any(a <= t < b for a, b in self.not_worn)]


def wearing(recording: Recording, gaps: Floats, rate_hz: float, calibration: Calibration) -> Wearing:
    """What a recording tells of its wearer. gaps: (k, 2) in its own time; rate_hz: the true one."""
    t = recording.t
    whole_s = float(t[-1] - t[0])
    minutes = int(whole_s // MINUTE_S) + 1
    edges = np.searchsorted(t, t[0] + MINUTE_S * np.arange(minutes + 1))
    detector = WearDetector()
    enmo: list[float | None] = []
    changes: list[float] = []  # they take turns, not worn first
    for minute, (first, last) in enumerate(pairwise(edges)):
        xyz = recording.xyz[first:last]
        # The corrected values are not for the detector: it is fed as the runtime feeds it.
        changes += [worn.onset for worn in detector.push(t[first:last] - t[0], xyz.astype(np.float64))]
        expected = rate_hz * min(MINUTE_S, whole_s - MINUTE_S * minute)
        enmo.append(_enmo_mg(calibration.correct(xyz)) if len(xyz) > THERE * expected else None)
    changes += [whole_s] * (len(changes) % 2)
    own = gaps - t[0]
    # An onset is known late, and may lie before the end of the stretch before.
    lain = np.maximum.accumulate(np.array(changes)).reshape(-1, 2)
    stretches = [piece for begin, end in lain for piece in _without(begin, end, own)]
    pieces = _without(0.0, whole_s, own[own[:, 1] - own[:, 0] > GAP_S])
    knowable = any(end - begin > HOUR * MINUTE_S for begin, end in pieces)
    return Wearing(recording.id, recording.subject, round(whole_s, 3), tuple(enmo), tuple(stretches), knowable)


def _enmo_mg(xyz: npt.NDArray[np.float32]) -> float:
    return round(float(1000 * np.maximum(np.linalg.norm(xyz.astype(np.float64), axis=1) - 1, 0).mean()), 1)


def _without(begin: float, end: float, gaps: Floats) -> list[Stretch]:
    """What of a stretch lies outside the gaps (k, 2)."""
    inside = gaps[(gaps[:, 1] > begin) & (gaps[:, 0] < end)].clip(begin, end)
    edges = np.concatenate([[begin], inside.ravel(), [end]]).round(3).reshape(-1, 2)
    return [(float(first), float(last)) for first, last in edges if last > first]
