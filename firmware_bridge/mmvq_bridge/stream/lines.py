"""CSV lines `x,y,z` or `t_ms,x,y,z`, as hobby boards print them, to samples with their times. Pure.

With t_ms, time is t_ms. Without, the rate is the slope of a straight line through (i, arrival) over the first five
seconds, by least squares; its standard error tells how far to trust it. From then on samples follow one another at
that rate, hurried or slowed by 2 % at most towards where the arrivals so far say they are (clock.py), so that the board
is followed for days and no jitter shows. Where bytes have no arrival times, lines without t_ms have no time at all and
are refused.

A line that is no such line, or not finite, or over 32 g, is dropped and counted. Time that runs backwards is a line to
drop, too, unless it goes on like that: then the board has started again, and session time goes on by the arrival clock.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import LATEST_MS, LIMIT_G, MS2_AT_REST, STANDARD_GRAVITY, counts_per_g
from mmvq_bridge.stream.clock import ClockModel
from mmvq_bridge.stream.timed import Item, Missing, Notice, Samples, Wearer

LONGEST_LINE: Final = 200  # characters; four numbers of full precision need about 100
LISTEN_S: Final = 5.0  # of arrival before a rate is believed: 1 % at the jitter of USB
LISTEN_SAMPLES: Final = 50
RESTART_LINES: Final = 5  # in a row whose time lies before the last one's: no damaged digit does that
PAUSE_NS: Final = 3_000_000_000  # lines without t_ms that stop for so long have left samples out
SLEW: Final = 0.02  # of a period: twice what five seconds may have the rate wrong by
RATES_HZ: Final = (1.0, 2000.0)  # faster than any serial port can print

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Line:
    host_ns: int
    t_ms: float | None
    xyz: tuple[float, ...]

    @property
    def finite(self) -> bool:
        return all(np.isfinite(self.xyz))


def parse_line(line: bytes) -> tuple[float, ...] | None:
    """The three or four numbers of a line, or None if it is no such line. nan and inf are numbers here."""
    words = line.strip().split(b",")
    if len(words) not in (3, 4) or len(line) > LONGEST_LINE or b"_" in line:
        return None
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        return None
    return numbers if len(words) == 3 or abs(numbers[0]) < LATEST_MS else None


class LineTimer:
    """Bytes of CSV lines in, timed samples out. Until rate and unit are known, lines are kept.

    bad_lines: lines dropped because they were none.
    Raises BadInput for lines whose time or unit cannot be known.
    """

    def __init__(self, units: str, arrival: bool) -> None:
        self.bad_lines = 0
        self._units = units
        self._arrival = arrival
        self._rest = b""
        self._columns = 3
        self._started = False
        self._waiting: list[_Line] = []
        self._rate = 0.0  # 0 until it is known
        self._scale = 1.0
        self._rebase = False
        self._reopened = False
        self._zero_ms: float | None = None
        self._zero_t = 0.0
        self._index = 0  # of the next sample since _zero_t
        self._clock = ClockModel()  # from a line's index, in periods, to the host's clock
        self._zero_host = 0.0  # seconds on the host's clock at _zero_t
        self._due_t = 0.0  # of the next line without t_ms
        self._last_ms = 0.0
        self._last_t: float | None = None
        self._last_host = 0
        self._second, self._in_second = -1, 0  # of session time, and lines in it
        self._invalid = 0  # lines dropped since the last good one
        self._backwards = 0

    def begin(self, columns: int) -> None:
        """Lines have three or four columns; a first line cut short may look like the other kind."""
        self._columns = columns

    def reopen(self) -> None:
        """The port was lost and is there again."""
        self._rest = b""
        self._rebase = self._reopened = True

    def feed(self, data: bytes, host_ns: int) -> list[Item]:
        """Take the bytes that arrived at `host_ns`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-2 * LONGEST_LINE :]  # noise without an end of line
        items: list[Item] = []
        for text in lines:
            if not text.strip():
                continue
            numbers = parse_line(text)
            if numbers is None or len(numbers) != self._columns:
                # Before the first sample it is a header, a greeting or a line cut short.
                self.bad_lines += self._started
                self._invalid += self._started
                continue
            self._started = True
            line = _Line(host_ns, numbers[0] if len(numbers) == 4 else None, numbers[-3:])
            if self._rate:
                items += self._sample(line)
            else:
                items += self._wait(line)
        return items

    def finish(self) -> list[Item]:
        """The stream is over: what waits must do for rate and unit."""
        if not self._waiting:
            return []
        heard_s = (self._waiting[-1].host_ns - self._waiting[0].host_ns) / 1e9
        if self._columns == 3 and self._arrival and not self._enough(heard_s):
            return [
                Notice(
                    f"{len(self._waiting)} lines x,y,z came within {heard_s:.1f} s; to know their rate takes "
                    f"{LISTEN_S:g} s of arrival and {LISTEN_SAMPLES} lines: give t_ms,x,y,z"
                )
            ]
        return self._decide()

    def _enough(self, heard_s: float) -> bool:
        told = self._columns == 4 or not self._arrival or heard_s >= LISTEN_S
        return len(self._waiting) >= LISTEN_SAMPLES and told

    def _wait(self, line: _Line) -> list[Item]:
        self._waiting.append(line)
        if len(self._waiting) > LISTEN_S * RATES_HZ[1]:
            raise BadInput(f"CSV lines come faster than {RATES_HZ[1]:g} Hz, which cannot be; print t_ms,x,y,z")
        return self._decide() if self._enough((line.host_ns - self._waiting[0].host_ns) / 1e9) else []

    def _decide(self) -> list[Item]:
        lines, self._waiting = self._waiting, []
        items: list[Item] = []
        if lines[0].t_ms is not None:
            self._rate = rate_of_times(np.array([line.t_ms or 0.0 for line in lines]) / 1000)
            items.append(Notice(f"CSV lines t_ms,x,y,z at {self._rate:.4g} Hz by their t_ms"))
        else:
            if not self._arrival:
                raise BadInput("lines x,y,z without arrival times have no time; give t_ms,x,y,z, or use --port")
            self._rate, error = rate_of_arrivals(np.array([line.host_ns - lines[0].host_ns for line in lines]) / 1e9)
            said = f"{self._rate:.2f} ± {2 * error:.2f} Hz by their arrival"
            items.append(Notice(f"CSV lines x,y,z at {said}; print t_ms,x,y,z for exact times"))
        if not RATES_HZ[0] <= self._rate <= RATES_HZ[1]:
            raise BadInput(f"CSV lines seem to come at {self._rate:.4g} Hz, which cannot be; print t_ms,x,y,z")
        self._scale, notice = _scale(np.array([line.xyz for line in lines if line.finite]), self._units)
        items += notice
        items.append(Wearer("connected", None, self._rate))
        listened = ClockModel()
        for i, line in enumerate(lines):
            listened.push(i / self._rate, line.host_ns / 1e9)
        self._zero_host = listened.host(0.0)  # when the first line would have come, had nothing been late
        for line in lines:
            items += self._sample(line)
        return items

    def _sample(self, line: _Line) -> list[Item]:
        items: list[Item] = []
        period = 1 / self._rate
        xyz = np.array(line.xyz) / self._scale
        pause = line.t_ms is None and self._arrival and line.host_ns - self._last_host > PAUSE_NS
        if self._last_t is not None and pause:
            self._rebase = True
        self._index += 1
        due = self._due(line, period) if line.t_ms is None else 0.0
        if not np.isfinite(xyz).all() or np.abs(xyz).max() > LIMIT_G:
            self._invalid += 1
            return items
        if line.t_ms is not None and not self._rebase and self._zero_ms is not None and line.t_ms < self._last_ms:
            self._backwards += 1
            if self._backwards < RESTART_LINES:
                self._invalid += 1
                return items
            items.append(Wearer("reset", None, self._rate))
            self._rebase = True
        if self._rebase or self._last_t is None:
            items += self._start_clock(line, period)
            due = self._zero_t
        self._backwards = 0
        t = due if line.t_ms is None else self._zero_t + (line.t_ms - (self._zero_ms or 0.0)) / 1000
        t = max(t, self._last_t or 0.0)
        if int(t) != self._second:
            self._second, self._in_second = int(t), 0
        self._in_second += 1
        if self._in_second > RATES_HZ[1]:  # time that stands still: what came would pile up further on
            self._invalid += 1
            return items
        items += self._missing(t, period)
        items.append(Samples(np.array([t]), xyz[None]))
        self._last_t, self._last_ms, self._last_host = t, line.t_ms or 0.0, line.host_ns
        self._rebase = self._reopened = False
        self._invalid = 0
        return items

    def _due(self, line: _Line, period: float) -> float:
        """Where a line without t_ms lies, by those before it and by when they came."""
        due = self._due_t
        if self._arrival:
            at = (self._index - 1) * period
            self._clock.push(at, line.host_ns / 1e9)
            ahead = self._zero_t + self._clock.host(at) - self._zero_host - due
            due += max(-SLEW * period, min(SLEW * period, ahead))
        self._due_t = due + period
        return due

    def _start_clock(self, line: _Line, period: float) -> list[Item]:
        """Session time 0 for the first sample, else by the arrival clock."""
        items: list[Item] = []
        if self._last_t is not None:
            if self._reopened:
                items.append(Wearer("connected", None, self._rate))
            since = (line.host_ns - self._last_host) / 1e9 if self._arrival else 0.0
            self._zero_t = self._last_t + max(period, since)
            self._clock = ClockModel()
            self._clock.push(0.0, line.host_ns / 1e9)
            self._zero_host = line.host_ns / 1e9
        self._zero_ms, self._index, self._due_t = line.t_ms, 1, self._zero_t + period
        return items

    def _missing(self, t: float, period: float) -> list[Item]:
        if self._last_t is None:
            return []
        if self._invalid and not self._rebase:
            return [Missing(t, self._invalid, self._invalid * period, "invalid")]
        lost = round((t - self._last_t) / period) - 1
        why = "reconnect" if self._rebase else "sequence"
        return [Missing(t, lost, lost * period, why)] if lost > 0 else []


def rate_of_times(t: Floats) -> float:
    """Samples a second from their own times, in seconds (n,): the mean step, without gaps and steps back.

    0 if there is no step.
    """
    steps = np.diff(t)
    steps = steps[steps > 0]
    if len(steps) == 0:
        return 0.0
    usual = steps[steps < 1.5 * np.median(steps)]
    return float(1 / usual.mean())


def rate_of_arrivals(arrivals: Floats) -> tuple[float, float]:
    """Samples a second, and the standard error, from arrival times in seconds (n,), n > 2, not all equal.

    Least squares: arrival = a + b i, rate = 1 / b; the error of b is s / sqrt(sum (i - mean i)^2) with s the residual
    deviation, and that of 1 / b is it over b^2. Lines that arrive together make residuals depend on each other, so
    the error is a lower bound.
    """
    i = np.arange(len(arrivals)) - (len(arrivals) - 1) / 2
    b = float(i @ arrivals / (i @ i))
    residuals = arrivals - arrivals.mean() - b * i
    s = float(np.sqrt(residuals @ residuals / (len(arrivals) - 2)))
    return 1 / b, s / float(np.sqrt(i @ i)) / b**2


def _scale(xyz: Floats, units: str) -> tuple[float, list[Item]]:
    """What to divide by to get g. BadInput if the numbers can be neither g nor m/s²."""
    if units == "g":
        return 1.0, []
    if units == "ms2":
        return STANDARD_GRAVITY, []
    if units != "auto":
        return counts_per_g(units), []
    with np.errstate(over="ignore"):  # what is so large is refused below
        median = float(np.median(np.linalg.norm(xyz.reshape(-1, 3), axis=1))) if len(xyz) else 1.0
    if MS2_AT_REST[0] < median < MS2_AT_REST[1]:
        return STANDARD_GRAVITY, [Notice(f"CSV lines: the median acceleration is {median:.2f}: taken for m/s²")]
    if median > LIMIT_G:
        raise BadInput(f"CSV lines: the median acceleration is {median:.4g}: counts? Give --units counts:N, N to a g")
    return 1.0, []
