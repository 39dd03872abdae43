"""Protocol 1 frames to samples with their times (DESIGN 3.7). Pure: arrival times come in as arguments.

Time is t_us, the device's clock at a frame's first sample. It wraps after 71.6 minutes; the arrival clock says how
often it did. A HELLO with another boot_id tells a reset: the device's clock starts anew, and session time goes on by
the arrival clock, freed of its jitter (clock.py). Inside a frame samples lie apart by what the earlier frame took, so
that a device whose clock runs a few percent off its nominal rate is followed.

    lost = round(dt_us * rate) - n of the earlier frame

Samples before the first HELLO have neither rate nor scale and are left out.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.frames import FLAG_OVERRUN, FLAG_SATURATED, Data, Frame, Hello, Stat
from mmvq_bridge.recordings import LIMIT_G
from mmvq_run.clock import ClockModel
from mmvq_run.timed import Item, Missing, Notice, Samples, Temperature, Wearer

WRAP: Final = 2**32  # t_us
SEQUENCE_WRAP: Final = 2**16
FOLLOWED: Final = 0.2  # share by which a frame's measured spacing may differ from the nominal one and be believed
CLOCK_ERROR: Final = 0.05  # between frames in sequence, less than this is the clock's error (up to 3 %) and no loss
FRESH_BOOT_US: Final = 10_000_000  # a clock below tells that we listen since boot: STAT's count is ours from 0
RATES_HZ: Final = (1.0, 10_000.0)  # as for recording files


class FrameTimer:
    """Frames in, timed samples and what is to be told out.

    late_frames: frames dropped because they were not newer than the last one; early_frames: those before HELLO;
    saturated_frames: those at the end of the measuring range. clock: the device's, since its boot, in seconds; last_t,
    last_device_s: session time and the device's clock at the last sample.
    """

    def __init__(self, arrival: bool) -> None:
        self.late_frames = self.early_frames = self.saturated_frames = 0
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
        self._last_host = 0
        self._dropped: int | None = None  # STAT's count so far
        self._shown = 0  # samples that time showed to be missing since the last STAT

    def reopen(self) -> None:
        """The port was lost and is there again: wait for HELLO."""
        self._hello = None
        self._reopened = True

    def feed(self, frame: Frame, host_ns: int) -> list[Item]:
        """Take a frame that arrived at `host_ns`."""
        if isinstance(frame, Hello):
            return self._greet(frame)
        if isinstance(frame, Data):
            return self._data(frame, host_ns)
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
            self._dropped = 0
            state = "connected" if again else "reset"
        elif not again and known == hello:
            return []
        return [Wearer(state, f"{hello.device_uid:016x}", rate)]

    def _data(self, frame: Data, host_ns: int) -> list[Item]:
        hello = self._hello
        if hello is None:
            self.early_frames += 1
            return []
        rate = hello.rate_mhz / 1000
        spacing = 1 / rate
        items: list[Item] = []
        if self._rebase or self._last is None:
            now_us = frame.t_us
            self._start_clock(now_us, len(frame.samples), host_ns, rate)
            t_first = self._zero_t
            if self._last is not None:
                items += self._missing(t_first, round((t_first - self.last_t) * rate) - 1, rate, "reconnect")
        else:
            now_us = self._unroll(frame.t_us, host_ns)
            if now_us <= self._last_us:
                self.late_frames += 1
                return []
            t_first = self._zero_t + (now_us - self._zero_us) / 1e6
            before = len(self._last.samples)
            took = (now_us - self._last_us) / 1e6
            in_turn = frame.seq == (self._last.seq + 1) % SEQUENCE_WRAP and not self._reopened
            overrun = bool(frame.flags & FLAG_OVERRUN)
            lost = max(0, round(took * rate) - before)
            if in_turn and not overrun and took * rate / before - 1 <= CLOCK_ERROR:
                lost = 0
            why = "overrun" if overrun else "reconnect" if self._reopened else "sequence"
            if lost or overrun:
                items += self._missing(t_first, lost, rate, why)
            elif in_turn and abs(took / before * rate - 1) <= FOLLOWED:
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
        self._last, self._last_us, self.last_t, self._last_host = frame, now_us, float(t[-1]), host_ns
        self._reopened = False
        return items

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
        self._shown += lost
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
        """Its temperature, and samples that the device dropped and that time did not show already."""
        items: list[Item] = [Temperature(stat.temperature_centi_c / 100)]
        before, self._dropped = self._dropped, stat.samples_dropped
        shown, self._shown = self._shown, 0
        if before is None or self._known is None or stat.samples_dropped < before:
            return items
        hidden = stat.samples_dropped - before - shown
        rate = self._known.rate_mhz / 1000
        return [*items, Missing(self.last_t, hidden, hidden / rate, "overrun")] if hidden > 0 else items
