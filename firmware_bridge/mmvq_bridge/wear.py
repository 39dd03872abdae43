"""Whether the wearable is worn: still, and cool where it tells its temperature. Pure; stream time, never the host's.

Not worn is
    still for an hour, asked every 15 minutes: at least two axes deviate by less than 13 mg and span less than 50 mg
        (van Hees et al. 2013, PLoS ONE 8:e61691, as GGIR has it); or
    still and cool for five minutes: at least two axes deviate by less than 8 mg, under 26 °C, or under 30 °C and
        cooling by over .2 °C a minute (Vert et al. 2022, BMC Medical Research Methodology 22:147: DETACH).
Worn again is the first minute that is not still and, where the temperature is told, is 26 °C or warming by .1 °C a
minute: a watch carried in a bag moves, but stays cool.

Whole minutes are looked at, so a verdict comes at the end of one. Nothing is known across a gap.
"""

import math
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

MINUTE_S: Final = 60.0
HOUR: Final = 60  # minutes that have to be still, where nothing else is known
STEP: Final = 15  # minutes between two looks at the hour
SHORT: Final = 5  # minutes that have to be still, where it is cool as well
AXES: Final = 2  # of three have to be still: one may hum
STILL_G: Final = 0.013  # deviation and
SPAN_G: Final = 0.05  # range under which an hour is still
SHORT_STILL_G: Final = 0.008  # deviation under which five minutes are
COOL_C: Final = 26.0
LUKEWARM_C: Final = 30.0
COOLING: Final = -0.2  # °C a minute
WARMING: Final = 0.1
GAP_S: Final = 1.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Worn:
    """Decided at `t` (s of stream time): the wearable is worn, or is not, since `onset`."""

    worn: bool
    t: float
    onset: float


@dataclass(frozen=True, eq=False)
class _Minute:
    """n samples; per axis (3,): mean, mean square deviation, least and largest; celsius at its end, if it is told."""

    n: int
    mean: Floats
    spread: Floats
    low: Floats
    high: Floats
    celsius: float | None


class WearDetector:
    """A stream's samples and temperatures in, verdicts out. Until something tells otherwise, a wearable is worn."""

    def __init__(self) -> None:
        self._worn = True
        self._celsius: float | None = None
        self._minutes: deque[_Minute] = deque(maxlen=HOUR)
        self._since_look = 0
        self._number, self._whole = 0, False  # of the minute that goes on, and whether it did from its beginning
        self._pieces: list[Floats] = []
        self._last_t = -math.inf

    def feel(self, celsius: float) -> None:
        """The device tells its temperature. Exactly 0 is what a board without a sensor sends."""
        self._celsius = celsius if celsius != 0 else None

    def push(self, t: Floats, xyz: Floats) -> list[Worn]:
        """Take samples: seconds (n,), never decreasing, and g (n, 3)."""
        told: list[Worn] = []
        starts = np.flatnonzero(np.diff(t, prepend=self._last_t) > GAP_S)
        for first, last in zip([0, *starts], [*starts, len(t)], strict=True):
            if first in starts:
                self._begin(float(t[first]))
            if first < last:
                told += self._take(t[first:last], xyz[first:last])
        return told

    def _begin(self, t: float) -> None:
        """Nothing is known of what was before `t`."""
        self._minutes.clear()
        self._pieces, self._since_look = [], 0
        self._number = int(t // MINUTE_S)
        self._whole = t - self._number * MINUTE_S <= GAP_S

    def _take(self, t: Floats, xyz: Floats) -> list[Worn]:
        told: list[Worn] = []
        self._last_t = float(t[-1])
        for number in range(int(t[0] // MINUTE_S), int(t[-1] // MINUTE_S) + 1):
            if number != self._number:
                told += self._ended()
                self._number, self._whole = number, True
            first, last = np.searchsorted(t, [number * MINUTE_S, (number + 1) * MINUTE_S])
            self._pieces.append(xyz[first:last])
        return told

    def _ended(self) -> list[Worn]:
        """A minute is over."""
        xyz, self._pieces = np.concatenate(self._pieces or [np.empty((0, 3))]), []
        if not self._whole or len(xyz) == 0:
            return []
        self._minutes.append(
            _Minute(len(xyz), xyz.mean(0), xyz.var(0), xyz.min(0), xyz.max(0), self._celsius)
        )
        self._since_look += 1
        end = (self._number + 1) * MINUTE_S
        minutes = self._not_worn_for() if self._worn else 0
        if minutes:
            self._worn = False
            return [Worn(False, end, end - minutes * MINUTE_S)]
        if not self._worn and self._is_worn_again():
            self._worn, self._since_look = True, 0
            return [Worn(True, end, end - MINUTE_S)]
        return []

    def _not_worn_for(self) -> int:
        """Of how many minutes it is known; 0 for a wearable that may be worn."""
        if len(self._minutes) >= SHORT and self._is_cool():
            deviation, _ = self._over(SHORT)
            if (deviation < SHORT_STILL_G).sum() >= AXES:
                return SHORT
        if len(self._minutes) == HOUR and self._since_look >= STEP:
            self._since_look = 0
            deviation, span = self._over(HOUR)
            if ((deviation < STILL_G) & (span < SPAN_G)).sum() >= AXES:
                return HOUR
        return 0

    def _is_worn_again(self) -> bool:
        deviation, _ = self._over(1)
        if (deviation < SHORT_STILL_G).sum() >= AXES:
            return False
        now, warming = self._temperature()
        return now is None or now >= COOL_C or warming >= WARMING

    def _is_cool(self) -> bool:
        recent = [minute.celsius for minute in islice(self._minutes, len(self._minutes) - SHORT, None)]
        told = [celsius for celsius in recent if celsius is not None]
        if len(told) < SHORT:
            return False
        _, change = self._temperature()
        return max(told) < COOL_C or (max(told) < LUKEWARM_C and change < COOLING)

    def _temperature(self) -> tuple[float | None, float]:
        """Now, and °C a minute over the last minutes."""
        told = [minute.celsius for minute in islice(self._minutes, max(0, len(self._minutes) - SHORT), None)]
        first, last = told[0], told[-1]
        if first is None or last is None or len(told) < 2:
            return last, 0.0
        return last, (last - first) / (len(told) - 1)

    def _over(self, count: int) -> tuple[Floats, Floats]:
        """Deviation and range (3,) over the last minutes, from those of each."""
        some = list(islice(self._minutes, len(self._minutes) - count, None))
        n = np.array([minute.n for minute in some], dtype=float)[:, None]
        means, spreads = np.array([minute.mean for minute in some]), np.array([minute.spread for minute in some])
        mean = (n * means).sum(0) / n.sum()
        variance = (n * (spreads + (means - mean) ** 2)).sum(0) / n.sum()
        span = np.max([minute.high for minute in some], axis=0) - np.min([minute.low for minute in some], axis=0)
        return np.sqrt(variance), span
