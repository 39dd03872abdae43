"""A device's clock against the host's, by least squares on line. Pure.

    host = a + b * device        b: host seconds a device second; 1e6 (1 / b - 1) is how many ppm the device runs fast

What arrives is late by a line's jitter and by bursts, never early. So of each second only the point that arrived
earliest counts; a straight line is fitted through those of the last ten minutes (a clock's drift follows temperature,
over longer times), and points far from it, in a burst that lasted seconds, are weighed down (Huber 1964). The
standard error of b is that of weighted least squares.
"""

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

BLOCK_S: Final = 1.0
MOST_BLOCKS: Final = 600
LEAST_BLOCKS: Final = 5  # before which b is taken for 1: no crystal is as far off as a line through so few points
MOST_OFF: Final = 0.05  # no oscillator is as wrong, not even one without a crystal
ROUNDS: Final = 3  # of weighing; more change less than a microsecond
HUBER: Final = 1.345  # deviations beyond which a point weighs less: 95 % efficient where errors are normal
MAD_TO_DEVIATION: Final = 1.4826
LEAST_DEVIATION_S: Final = 1e-5  # no host tells arrivals apart more finely

Floats = npt.NDArray[np.float64]


class ClockModel:
    """Device times with their arrivals in, the relation between both clocks out.

    rate, error: b and its standard error; 1 and infinity until a few seconds were heard.
    """

    def __init__(self) -> None:
        self.rate, self.error = 1.0, float("inf")
        self._points: deque[tuple[float, float]] = deque(maxlen=MOST_BLOCKS)
        self._origin: tuple[float, float] | None = None  # both clocks' readings that the line is told from
        self._offset = 0.0  # of the line at the origin
        self._block: int | None = None
        self._earliest: tuple[float, float] | None = None

    def push(self, device_s: float, host_s: float) -> None:
        """The device's time `device_s`, never decreasing, arrived at `host_s`."""
        if self._origin is None:
            self._origin = (device_s, host_s)
        point = (device_s - self._origin[0], host_s - self._origin[1])
        block = int(point[0] // BLOCK_S)
        if block != self._block:
            if self._earliest is not None:
                self._points.append(self._earliest)
                self._fit()
            self._block, self._earliest = block, None
        if self._earliest is None or self._late(point) < self._late(self._earliest):
            self._earliest = point
            if len(self._points) < LEAST_BLOCKS:
                self._offset = min(self._late(earlier) for earlier in [*self._points, point])

    def host(self, device_s: float) -> float:
        """When the host's clock read `device_s`, had nothing been late. ValueError before the first `push`."""
        if self._origin is None:
            raise ValueError("a clock that nothing was heard of")
        return self._origin[1] + self._offset + self.rate * (device_s - self._origin[0])

    def device(self, host_s: float) -> float:
        """The reverse of `host`."""
        if self._origin is None:
            raise ValueError("a clock that nothing was heard of")
        return self._origin[0] + (host_s - self._origin[1] - self._offset) / self.rate

    def _late(self, point: tuple[float, float]) -> float:
        return point[1] - self.rate * point[0]

    def _fit(self) -> None:
        if len(self._points) < LEAST_BLOCKS:
            return
        x, y = np.array(self._points).T
        slope = self.rate
        residuals = y - slope * x
        residuals -= _middle(residuals)  # to begin with, as seen from the line before: a burst must not tilt it
        for _ in range(ROUNDS):
            deviation = max(MAD_TO_DEVIATION * _middle(np.abs(residuals)), LEAST_DEVIATION_S)
            weights = np.minimum(1.0, HUBER * deviation / np.maximum(np.abs(residuals), LEAST_DEVIATION_S))
            total = weights.sum()
            middle, level = (weights @ x) / total, (weights @ y) / total
            squares = weights @ (x - middle) ** 2
            slope = (weights * (x - middle)) @ (y - level) / squares
            residuals = y - level - slope * (x - middle)
        if abs(slope - 1) > MOST_OFF:  # what was kept somewhere and comes in one go tells nothing of a clock
            self.rate, self._offset, self.error = 1.0, float((y - x).min()), float("inf")
            return
        self.rate, self._offset = float(slope), float(level - slope * middle)
        variance = float(weights @ residuals**2) / max(1.0, float(weights.sum()) - 2)
        self.error = float(np.sqrt(variance / squares))


def _middle(values: Floats) -> float:
    """The median, of an even number the upper one. (numpy's own loads two megabytes of code for masked arrays.)"""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])
