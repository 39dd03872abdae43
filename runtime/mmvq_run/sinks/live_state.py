"""What the live view remembers of streams: the latest of everything, in a size that does not grow. Pure."""

import math
from collections import Counter, deque
from typing import Final

import numpy as np

from mmvq_run.events import Event
from mmvq_run.signal import gap_limit_s
from mmvq_run.sketch import Floats

TRACE_S: Final = 10.0  # of the signal sketch: a window of most models
BIN_S: Final = 0.05  # two columns of dots at 60 characters, one at 120
BINS: Final = round(TRACE_S / BIN_S)
LINK_S: Final = 60  # what is called the last minute
PAST: Final = 8  # activities that are over: more than a line holds


class Trace:
    """The last ten seconds of a signal: the lowest and highest value of each twentieth of a second."""

    def __init__(self) -> None:
        self._low = np.full((BINS, 3), np.nan)
        self._high = np.full((BINS, 3), np.nan)
        self._last = -1  # the newest bin, counted from t = 0

    def push(self, t: Floats, xyz: Floats) -> None:
        """Take samples: seconds (n,), never decreasing, and g (n, 3)."""
        if len(t) == 0:
            return
        bins = np.floor(t / BIN_S).astype(np.int64)
        last = max(self._last, int(bins[-1]))
        passed = np.arange(max(self._last + 1, last - BINS + 1), last + 1) % BINS
        self._low[passed] = self._high[passed] = np.nan
        self._last = last
        bins, xyz = bins[bins > last - BINS], xyz[bins > last - BINS]
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        slots = bins[starts] % BINS
        self._low[slots] = np.fmin(self._low[slots], np.minimum.reduceat(xyz, starts))
        self._high[slots] = np.fmax(self._high[slots], np.maximum.reduceat(xyz, starts))

    def columns(self, count: int, rate_hz: float | None) -> tuple[Floats, Floats]:
        """The lowest and highest values (count, 3) in g, in columns from ten seconds ago to now; NaN where nothing came
        for longer than what the pipeline interpolates at that rate."""
        order = np.arange(self._last + 1, self._last + 1 + BINS) % BINS
        low, high = self._low[order], self._high[order]
        there = np.flatnonzero(~np.isnan(low[:, 0]))
        if len(there):
            places = np.arange(BINS)
            after = np.searchsorted(there, places)
            wide = np.append(np.diff(there, prepend=-math.inf), math.inf)  # steps between bins that have samples
            joined = np.isnan(low[:, 0]) & (wide[after] * BIN_S <= gap_limit_s(rate_hz or 1 / BIN_S) + BIN_S)
            for axis in range(3):
                middle = np.interp(places[joined], there, (low[there, axis] + high[there, axis]) / 2)
                low[joined, axis] = high[joined, axis] = middle
        starts = np.arange(count) * BINS // count
        return np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)


class Link:
    """Samples that were lost. total: all of them."""

    def __init__(self) -> None:
        self.total = 0
        self._by_second: deque[tuple[int, Counter[str]]] = deque(maxlen=LINK_S + 1)

    def lose(self, t: float, count: int, why: str) -> None:
        """`count` samples are missing where the stream goes on at `t` seconds."""
        self.total += count
        second = int(t)
        if not self._by_second or self._by_second[-1][0] != second:
            self._by_second.append((second, Counter()))
        self._by_second[-1][1][why] += count

    def last_minute(self, t: float) -> Counter[str]:
        """How many, by why, in the minute before `t`."""
        return sum((counted for second, counted in self._by_second if second > t - LINK_S), Counter())


class Stream:
    """One wearable, or one recording of a file. The latest event of a kind is None before the first.

    t: seconds, the latest there is; now: label and onset of what goes on; past: label, onset and duration of what is
    over, the latest last; spent: seconds by label.
    """

    def __init__(self) -> None:
        self.t = 0.0
        self.session: Event | None = None
        self.device: Event | None = None
        self.window: Event | None = None
        self.end: Event | None = None
        self.now: tuple[str, float] | None = None
        self.past: deque[tuple[str, float, float]] = deque(maxlen=PAST)
        self.spent: dict[str, float] = {}
        self.link = Link()
        self.trace = Trace()

    @property
    def rate_hz(self) -> float | None:
        """The device's rate, None before it is known."""
        return self.device["rate_hz"] if self.device else None

    def take(self, event: Event) -> None:
        """Remember what an event tells."""
        self.t = max(self.t, event["t"])
        match event["type"]:
            case "session":
                self.session = event
            case "device":
                self.device = event
            case "window":
                self.window = event
            case "gap":
                self.link.lose(event["t"], event["lost"], event["why"])
            case "activity" if event["phase"] == "start":
                self.now = event["label"], event["onset"]
            case "activity":
                self.now = None
                self.past.append((event["label"], event["onset"], event["duration"]))
                self.spent[event["label"]] = self.spent.get(event["label"], 0.0) + event["duration"]
            case "end":
                self.end = event

    def see(self, t: Floats, xyz: Floats) -> None:
        """Remember samples: seconds (n,) and g (n, 3)."""
        if len(t):
            self.t = max(self.t, float(t[-1]))
            self.trace.push(t, xyz)

    def lost_share(self) -> float | None:
        """Of the last minute's samples; None where no rate is known or nothing came."""
        expected = (self.rate_hz or 0.0) * min(self.t, LINK_S)
        lost = self.link.last_minute(self.t).total()
        return lost / max(lost, expected) if expected >= 1 else None


class Streams:
    """Streams by the device that events name, or None where they name none. latest: of whom the last event was."""

    def __init__(self) -> None:
        self.by_device: dict[str | None, Stream] = {}
        self.latest: str | None = None

    @property
    def shown(self) -> Stream:
        """The stream whose event was the last."""
        return self.by_device.get(self.latest) or Stream()

    def take(self, event: Event) -> Stream:
        """Remember what an event tells, and give the stream it is of. A session begins afresh."""
        self.latest = event.get("device")
        if event["type"] == "session":
            self.by_device[self.latest] = Stream()
        stream = self.by_device.setdefault(self.latest, Stream())
        stream.take(event)
        return stream

    def see(self, t: Floats, xyz: Floats, device: str | None) -> None:
        """Remember samples: seconds (n,) and g (n, 3)."""
        self.by_device.setdefault(device, Stream()).see(t, xyz)
