"""Rates and clocks: the device's own time against its sequence, and against this computer's.

Of frames in turn (no number between them missing) t_us tells how far samples lie apart; the median is the usual step.
Arrivals tell how fast t_us runs: coarsely by a straight line through all of them, to find a clock that is none at all;
finely by one through the earliest of each second (clock.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.doctor.heard import Heard, Stretch
from mmvq_bridge.doctor.losses import silent_gaps
from mmvq_bridge.findings import Finding, counted, fault, fine, unknown, warning
from mmvq_bridge.stream.clock import MOST_OFF, ClockModel
from mmvq_bridge.stream.decode import AHEAD_S, CLOCK_ERROR, FOLLOWED, WRAP
from mmvq_bridge.stream.wire import GOOD_PPM

OFF_RATE: Final = 0.02  # sensors' own oscillators are within that, mostly
MODEL_HZ: Final = 20.0  # of the packaged model
ENOUGH: Final = 0.95  # of it: device clocks are no better than a few percent
DRIFT_S: Final = 10.0  # of listening before the error of a drift is worth anything
SURE: Final = 2.0  # standard errors, as told
DOUBLY_SURE: Final = 4.0  # before it is held against a device: from ten seconds an error is itself uncertain
JITTER_S: Final = 0.02  # FTDI's UARTs wait 16 ms for more; beyond it is a radio, a buffer or a busy device
LATE_SHARE: Final = 95  # % of arrivals that a jitter is told of
# Ways to count that are not microseconds, by how fast t_us then seems to run.
UNITS: Final = {1e-3: "milliseconds", 1e3: "nanoseconds", 0.032768: "ticks of 32,768 Hz"}
NEAR: Final = 0.06  # share by which a clock may differ from one of them, and be called so

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pace:
    """How fast a device's clock runs: ppm against this computer's, with its standard error; late: s of each arrival."""

    ppm: float
    error_ppm: float
    late: Floats


def timing(heard: Heard) -> list[Finding]:
    """What DATA frames tell of time."""
    stretch = heard.longest
    if stretch is None or len(stretch.seq) < 2:
        says = f"rate and clock: {counted(heard.frames, 'DATA frame')} in {heard.seconds:.1f} s are too few"
        return [unknown("rate", says, "listen for longer, or send smaller frames more often")]
    nominal = heard.hello.rate_mhz / 1000 if heard.hello is not None else 0.0
    if not len(stretch.in_turn[0]):
        says = "rate and clock: no two frames follow one another by seq"
        return [unknown("rate", says, "mend what loses frames, or their numbers, first")]
    rate, uneven = _rate_by_t_us(stretch)
    if wrong := _wrong_clock(stretch):
        return wrong
    on = stretch.on_time
    device_s = (stretch.t_us[on] + (stretch.size[on] - 1) * 1e6 / rate) / 1e6  # a frame leaves with its last sample
    pace = pace_of(device_s, stretch.arrival[on])
    by_arrival = f"about {rate * (1 + pace.ppm / 1e6):.1f} by arrival"
    if np.isfinite(pace.error_ppm):
        by_arrival = f"{rate * (1 + pace.ppm / 1e6):.3f} ± {SURE * rate * pace.error_ppm / 1e6:.3f} by arrival"
    return [
        _rate(nominal, rate, by_arrival),
        *low_rate(nominal or rate),
        _evenness(uneven),
        *silent_gaps(heard, rate),
        drift(pace, float(device_s[-1] - device_s[0]), "t_us"),
        jitter(pace),
        _wrap(heard, stretch),
    ]


def pace_of(device_s: Floats, arrival_s: Floats) -> Pace:
    """A device's times against when they arrived, (n,) each; those before an earlier one are left out."""
    onward = device_s >= np.maximum.accumulate(device_s)
    device_s, arrival_s = device_s[onward], arrival_s[onward]
    clock = ClockModel()
    for device, arrival in zip(device_s, arrival_s, strict=True):
        clock.push(float(device), float(arrival))
    slope = clock.rate
    if not np.isfinite(clock.error):  # too short for more than a plain line
        slope, _ = _slope(device_s, arrival_s)
    late = arrival_s - slope * device_s
    return Pace(1e6 * (1 / slope - 1), 1e6 * clock.error, late - late.min())


def wrong_pace(device_s: Floats, arrival_s: Floats, name: str, units: Mapping[float, str]) -> list[Finding]:
    """A fault where a device's times run as no oscillator does; `units` may explain it, by how fast they then run."""
    fast, error = _slope(arrival_s, device_s)
    if abs(fast - 1) <= MOST_OFF + DOUBLY_SURE * error:
        return []
    named = "".join(f": {unit}?" for factor, unit in units.items() if abs(fast / factor - 1) < NEAR)
    says = f"{name} runs {fast:.4g} times as fast as this computer's clock{named}"
    return [fault("clock", says, f"{name} is in {'micro' if name == 't_us' else 'milli'}seconds, by a steady clock")]


def drift(pace: Pace, seconds: float, name: str) -> Finding:
    """Of the device's clock; `name` is what tells it."""
    if not np.isfinite(pace.error_ppm) or seconds < DRIFT_S:
        says = f"clock drift: {seconds:.1f} s of {name} are too short"
        return unknown("drift", says, "listen for longer: --seconds 15, better 60")
    error = SURE * pace.error_ppm
    says = f"{name} runs {round(pace.ppm):+d} ± {np.ceil(error):.0f} ppm against this computer's clock"
    if abs(pace.ppm) - DOUBLY_SURE * pace.error_ppm > GOOD_PPM:
        do = "no crystal is so far off: look for an RC oscillator or a wrong divider, or times counted from samples"
        return warning("drift", says, f"{do} (mmvq-run follows up to {100 * MOST_OFF:.0f} %)")
    if error > GOOD_PPM:
        # The error of a slope falls with time to the power of 1.5.
        longer = 5 * np.ceil(seconds * (error / GOOD_PPM) ** (2 / 3) / 5)
        says += f": whether it is within {GOOD_PPM:.0f} ppm, as crystals are, takes longer"
        return unknown("drift", says, f"listen for longer: --seconds {longer:.0f}")
    return fine("drift", says)


def jitter(pace: Pace) -> Finding:
    """Of arrivals, against a steady clock."""
    usual, most = np.percentile(pace.late, LATE_SHARE), pace.late.max()
    says = f"arrivals jitter by {1000 * usual:.1f} ms ({LATE_SHARE} %), {1000 * most:.1f} ms at most"
    if usual > JITTER_S:
        do = "usual by Bluetooth; by wire look for a loop that waits: events come that much later"
        return warning("jitter", says, do)
    return fine("jitter", says)


def low_rate(rate: float) -> list[Finding]:
    """Whether the packaged model gets what it was trained on."""
    if rate >= ENOUGH * MODEL_HZ:
        return []
    says = f"{rate:.3g} Hz is below the {MODEL_HZ:g} Hz of the packaged model"
    do = f"sample at {MODEL_HZ:g} Hz or more: movement above {rate / 2:.3g} Hz is lost or folded, and labels suffer"
    return [warning("low_rate", says, do)]


def _rate_by_t_us(stretch: Stretch) -> tuple[float, float]:
    """Samples a second by t_us, without gaps; and by which share of itself a frame's step differs (95 %).

    1 and 0 where t_us stands still.
    """
    before, after = stretch.in_turn
    took, size = (stretch.t_us[after] - stretch.t_us[before]) / 1e6, stretch.size[before]
    step = took / size
    usual = float(np.median(step))
    if usual <= 0:
        return 1.0, 0.0
    near = np.abs(step / usual - 1) <= FOLLOWED
    whole = step < 1.5 * usual  # the others are gaps
    return float(size[near].sum() / took[near].sum()), float(np.percentile(np.abs(step[whole] / usual - 1), 95))


def _wrong_clock(stretch: Stretch) -> list[Finding]:
    """A clock with which there is no time at all."""
    before, after = stretch.in_turn
    took, arrived = (stretch.t_us[after] - stretch.t_us[before]) / 1e6, stretch.arrival[after] - stretch.arrival[before]
    onward = took > 0
    if not onward.any():
        says = f"t_us stands still or runs backwards over {counted(len(took), 'frame')} in turn"
        return [fault("clock", says, "t_us is the clock at a frame's first sample, in microseconds")]
    if wrong := wrong_pace(np.cumsum(took[onward]), np.cumsum(arrived[onward]), "t_us", UNITS):
        return wrong
    leaps = np.flatnonzero((took < 0) | (took > arrived + AHEAD_S))
    if len(leaps):
        says = f"t_us leaps {counted(len(leaps), 'time')} between frames in turn, first by {took[leaps[0]]:+.3f} s"
        do = "t_us goes on to 2^32 before it wraps: widen a shorter timer, and read both halves in one piece"
        return [fault("clock", says, do)]
    return []


def _slope(x: Floats, y: Floats) -> tuple[float, float]:
    """Of a straight line through (x, y) by least squares, and its standard error; 1 and infinity where none is."""
    x, y = x - x.mean(), y - y.mean()
    if len(x) < 3 or not x.any():
        return 1.0, np.inf
    slope = float(x @ y / (x @ x))
    residuals = y - slope * x
    return slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / (x @ x)))


def _rate(nominal: float, rate: float, by_arrival: str) -> Finding:
    if not nominal:
        return fine("rate", f"{rate:.2f} Hz by t_us, {by_arrival}; no HELLO tells what it should be")
    off = rate / nominal - 1
    says = f"{nominal:g} Hz by HELLO, {rate:.2f} by t_us ({100 * off:+.1f} %), {by_arrival}"
    if abs(off) > CLOCK_ERROR:
        do = f"let HELLO say the true rate: over {100 * CLOCK_ERROR:.0f} % off, mmvq-run counts losses that are none"
        return fault("rate", says, do)
    if abs(off) > OFF_RATE:
        return warning("rate", says, "let HELLO say the rate that the sensor has, not the one asked for")
    return fine("rate", says)


def _evenness(uneven: float) -> Finding:
    says = f"time between frames is even within {100 * uneven:.1f} % ({LATE_SHARE} %)"
    if uneven > CLOCK_ERROR:
        do = "take t_us when the first sample is taken (data-ready interrupt), not when the frame is sent"
        return warning("uneven", says, do)
    return fine("even", says)


def _wrap(heard: Heard, stretch: Stretch) -> Finding:
    wraps = sum(int(one.t_us[-1] // WRAP) for one in heard.stretches if len(one.t_us))
    if wraps:
        return fine("wrap", f"t_us wrapped {counted(wraps, 'time')}, and went on as it should")
    left_s = (WRAP - stretch.t_us[-1] % WRAP) / 1e6
    says = f"whether t_us wraps at 2^32 as it should: that is {left_s / 60:.0f} minutes away"
    do = f"start the device's clock near its end in a test build, or listen with --seconds {left_s + 10:.0f}"
    return unknown("wrap", says, do)
