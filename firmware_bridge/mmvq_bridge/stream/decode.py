"""Protocol 1 frames to samples with their times (DESIGN 3.7). Pure: arrival times come in as arguments.

Time is t_us, the device's clock at a frame's first sample. It wraps after 71.6 minutes; the arrival clock says how
often it did. A HELLO with another boot_id tells a reset: the device's clock starts anew, and session time goes on by
the arrival clock, freed of its jitter (clock.py). Inside a frame samples lie apart by what the earlier frame took, so
that a device whose clock runs a few percent off its nominal rate is followed.

    lost = round(dt_us * rate) - n of the earlier frame

Samples before the first HELLO have neither rate nor scale and are left out. A frame may be wrong although its CRC fits
(1 in 65,536): one that lies further ahead than the arrival clock has gone waits for the next one to agree with it. Late
frames that follow one another are no mistake: the device has started again, and its HELLO was lost.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.frames import FLAG_OVERRUN, FLAG_SATURATED, Data, Frame, Hello, Stat
from mmvq_bridge.recordings import LIMIT_G
from mmvq_bridge.stream.clock import ClockModel
from mmvq_bridge.stream.timed import Item, Missing, Notice, Samples, Temperature, Wearer

WRAP: Final = 2**32  # t_us
SEQUENCE_WRAP: Final = 2**16
FOLLOWED: Final = 0.2  # share by which a frame's measured spacing may differ from the nominal one and be believed
CLOCK_ERROR: Final = 0.05  # between frames in sequence, less than this is the clock's error (up to 3 %) and no loss
FRESH_BOOT_US: Final = 10_000_000  # a clock below tells that we listen since boot: STAT's count is ours from 0
AHEAD_S: Final = 2.0  # of the arrival clock: more than what lines and radios keep back in one frame's time
FEW_FRAMES: Final = 100  # that may be lost between two that agree
AGREEING: Final = 0.5  # share by which their distance may differ from what their numbers say
LATE_IN_TURN: Final = 5  # frames: no reordering brings as many old ones in their order
RATES_HZ: Final = (1.0, 10_000.0)  # as for recording files


class FrameTimer:
    """Frames in, timed samples and what is to be told out.

    late_frames: frames dropped because they were not newer than the last one; early_frames: those before HELLO;
    wrong_frames: those whose time no other frame agreed with; saturated_frames: those at the end of the measuring
    range. clock: the device's, since its boot, in seconds; last_t, last_device_s: session time and the device's clock
    at the last sample.
    """

    def __init__(self, arrival: bool) -> None:
        self.late_frames = self.early_frames = self.wrong_frames = self.saturated_frames = 0
        self.clock, self.last_t, self.last_device_s = ClockModel(), 0.0, 0.0
        self._arrival = arrival
        self._hello: Hello | None = None
        self._known: Hello | None = None  # the last one, also over a reconnect
        self._reopened = False
        self._rebase = True  # the next frame starts a new piece of device time
        self._zero_us = 0  # unrolled device time at which session time was _zero_t
        self._zero_t = 0.0
        self._last: Data | None = None
        self._last_us = 0
        self._last_rate = 0.0  # at which its samples were taken
        self._last_host = 0
        self._ahead: tuple[Data, int] | None = None  # a frame that waits to be agreed with, and when it came
        self._late: list[Data] = []  # in turn
        self._dropped: int | None = None  # STAT's count so far
        self._untold = 0  # samples that STAT said were dropped, less those that time showed to be missing
        self._overrun = 0  # of the latter, those since the last STAT that the device owned up to
        self._stat_came = False  # since the last DATA

    def reopen(self) -> None:
        """The port was lost and is there again: wait for HELLO."""
        self._hello = None
        self._reopened = True
        self._forget()

    def feed(self, frame: Frame, host_ns: int) -> list[Item]:
        """Take a frame that arrived at `host_ns`."""
        if isinstance(frame, Hello):
            return self._greet(frame)
        if isinstance(frame, Data):
            return self._agreed(frame, host_ns)
        if isinstance(frame, Stat) and self._last is not None:
            return self._stat(frame)
        return []

    def _greet(self, hello: Hello) -> list[Item]:
        rate = hello.rate_mhz / 1000
        if not RATES_HZ[0] <= rate <= RATES_HZ[1] or hello.counts_per_g == 0:
            said = f"{rate:g} Hz and {hello.counts_per_g} counts a g"
            return [Notice(f"the device says {said}, which cannot be; that HELLO is ignored")]
        known, again = self._known, self._hello is None
        self._hello = self._known = hello
        state = "connected"
        if known is not None and (known.boot_id, known.device_uid) != (hello.boot_id, hello.device_uid):
            self._rebase = True
            self._dropped = self._untold = self._overrun = 0
            self._forget()
            state = "connected" if again else "reset"
        elif not again and known == hello:
            return []
        return [Wearer(state, f"{hello.device_uid:016x}", rate)]

    def finish(self) -> list[Item]:
        """Nothing more comes."""
        return self._tell_dropped()

    def _forget(self) -> None:
        self.wrong_frames += self._ahead is not None
        self._ahead, self._late = None, []

    def _agreed(self, frame: Data, host_ns: int) -> list[Item]:
        """Frames whose time can be believed."""
        items: list[Item] = []
        if self._ahead is not None and self._hello is not None:
            waiting, came_ns = self._ahead
            self._ahead = None
            if _follows(frame, waiting, self._hello.rate_mhz / 1000):
                items += self._data(waiting, came_ns)
            else:
                self.wrong_frames += 1
        if self._last is not None and self._hello is not None and not self._rebase:
            gone_s = (host_ns - self._last_host) / 1e9 if self._arrival else 0.0
            if (self._unroll(frame.t_us, host_ns) - self._last_us) / 1e6 > gone_s + AHEAD_S:
                self._ahead = frame, host_ns
                return items
        return items + self._data(frame, host_ns)

    def _is_restart(self, frame: Data, rate: float) -> bool:
        """Whether a frame that is late is the last of several that follow one another."""
        if self._late and not _follows(frame, self._late[-1], rate):
            self._late = []
        self._late.append(frame)
        return len(self._late) >= LATE_IN_TURN

    def _data(self, frame: Data, host_ns: int) -> list[Item]:
        hello = self._hello
        if hello is None:
            self.early_frames += 1
            return []
        rate = hello.rate_mhz / 1000
        spacing = 1 / rate
        items: list[Item] = []
        if not self._rebase and self._last is not None:
            # Also of a clock that hardly moves: what is sampled faster than can be would pile up further on.
            soonest_us = self._last_us + math.ceil(len(self._last.samples) / RATES_HZ[1] * 1e6)
            if self._unroll(frame.t_us, host_ns) < soonest_us:
                self.late_frames += 1
                if not self._is_restart(frame, rate):
                    return []
                self._rebase = True
        self._late = []
        if self._rebase or self._last is None:
            now_us = frame.t_us
            self._start_clock(now_us, len(frame.samples), host_ns, rate)
            t_first = self._zero_t
            if self._last is not None:
                items += self._missing(t_first, round((t_first - self.last_t) * rate) - 1, rate, "reconnect")
        else:
            now_us = self._unroll(frame.t_us, host_ns)
            t_first = self._zero_t + (now_us - self._zero_us) / 1e6
            before = len(self._last.samples)
            took = (now_us - self._last_us) / 1e6
            in_turn = frame.seq == (self._last.seq + 1) % SEQUENCE_WRAP and not self._reopened
            overrun = bool(frame.flags & FLAG_OVERRUN)
            lost = max(0, round(took * self._last_rate) - before)
            if in_turn and not overrun and took * self._last_rate / before - 1 <= CLOCK_ERROR:
                lost = 0
            why = "overrun" if overrun else "reconnect" if self._reopened else "sequence"
            if lost or overrun:
                items += self._missing(max(t_first, self.last_t), lost, self._last_rate, why)
            elif in_turn and rate == self._last_rate and abs(took / before * rate - 1) <= FOLLOWED:
                spacing = took / before
        t = np.maximum(t_first + np.arange(len(frame.samples)) * spacing, self.last_t)
        items += self._samples(frame, t, hello.counts_per_g, rate)
        if frame.flags & FLAG_SATURATED:
            if self.saturated_frames == 0:
                items.append(Notice(f"at {t[0]:.1f} s the sensor reached the end of its range; peaks are cut off"))
            self.saturated_frames += 1
        self.last_device_s = now_us / 1e6 + (len(frame.samples) - 1) / rate
        if self._arrival:  # a frame is sent when its last sample is taken
            self.clock.push(self.last_device_s, host_ns / 1e9)
        self._last, self._last_us, self._last_rate = frame, now_us, rate
        self.last_t, self._last_host = float(t[-1]), host_ns
        self._reopened = False
        return items + (self._tell_dropped() if self._stat_came else [])

    def _start_clock(self, now_us: int, n: int, host_ns: int, rate: float) -> None:
        """Tie device time to session time: 0 for the first sample, else by the arrival clock."""
        if self._last is None:
            self._zero_t = 0.0
            self._dropped = 0 if now_us < FRESH_BOOT_US else None
        else:
            by_arrival = self._now(host_ns) - (n - 1) / rate
            self._zero_t = max(by_arrival, self.last_t + 1 / rate)
        self.clock = ClockModel()
        self._zero_us, self._rebase = now_us, False

    def _now(self, host_ns: int) -> float:
        """Session time by the arrival clock."""
        if self._last is None or not self._arrival:
            return self.last_t
        return self._zero_t + self.clock.device(host_ns / 1e9) - self._zero_us / 1e6

    def _unroll(self, t_us: int, host_ns: int) -> int:
        """t_us with its wraps, as near as possible to what the arrival clock expects."""
        expected = self._last_us + ((host_ns - self._last_host) // 1000 if self._arrival else 0)
        return t_us + WRAP * math.floor((expected - t_us) / WRAP + 0.5)

    def _missing(self, t: float, lost: int, rate: float, why: str) -> list[Item]:
        lost = max(0, lost)
        self._untold -= lost
        self._overrun += lost * (why == "overrun")
        return [Missing(t, lost, lost / rate, why)] if lost or why == "overrun" else []

    def _samples(self, frame: Data, t: npt.NDArray[np.float64], counts_per_g: int, rate: float) -> list[Item]:
        xyz = frame.samples.astype(np.float64) / counts_per_g
        good = np.abs(xyz).max(axis=1) <= LIMIT_G
        items: list[Item] = []
        if not good.all():
            bad = int((~good).sum())
            items.append(Missing(float(t[-1]), bad, bad / rate, "invalid"))
        if good.any():
            items.append(Samples(t[good], xyz[good]))
        return items

    def _stat(self, stat: Stat) -> list[Item]:
        """Its temperature, and samples that the device dropped: time may show them yet, by the next DATA."""
        before, self._dropped = self._dropped, stat.samples_dropped
        if before is not None and stat.samples_dropped >= before:
            self._untold += stat.samples_dropped - before
            self._stat_came = True
        return [Temperature(stat.temperature_centi_c / 100)]

    def _tell_dropped(self) -> list[Item]:
        """Samples that STAT told of and time did not show."""
        hidden, came = self._untold, self._stat_came
        # A loss that the first DATA after a STAT shows may have come after it: the next STAT tells of it.
        self._untold = max(min(0, hidden), -self._overrun) if came else 0
        self._overrun, self._stat_came = 0, False
        if not came or hidden <= 0 or self._known is None:
            return []
        rate = self._known.rate_mhz / 1000
        return [Missing(self.last_t, hidden, hidden / rate, "overrun")]


def _follows(frame: Data, before: Data, rate: float) -> bool:
    """Whether a frame is the next one after `before`, or one of the next, by its number and its time."""
    steps = (frame.seq - before.seq) % SEQUENCE_WRAP
    expected = steps * len(before.samples)
    took = ((frame.t_us - before.t_us) % WRAP) / 1e6 * rate
    return 0 < steps < FEW_FRAMES and abs(took - expected) <= AGREEING * expected
