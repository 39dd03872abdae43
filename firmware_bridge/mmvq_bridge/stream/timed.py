"""What bytes turn into on their way to windows: samples with their times, and what is to be told about them.

All times are session time: seconds of device time since the session's first sample.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Samples:
    """t: seconds, float64 (n,), never decreasing; xyz: g, float64 (n, 3), finite."""

    t: npt.NDArray[np.float64]
    xyz: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Missing:
    """`count` samples, `seconds` long, are not there; the stream goes on at `t`.

    why: sequence, reconnect, overrun or invalid.
    """

    t: float
    count: int
    seconds: float
    why: str


@dataclass(frozen=True)
class Wearer:
    """A device spoke (state connected or reset): what follows is a new segment at about `rate_hz`.

    uid: the device's own number, None where it has none (CSV lines).
    """

    state: str
    uid: str | None
    rate_hz: float


@dataclass(frozen=True)
class Temperature:
    """Of the device, in °C."""

    celsius: float


@dataclass(frozen=True)
class Notice:
    """One line for the person who looks on."""

    text: str


Item = Samples | Missing | Wearer | Temperature | Notice
