"""What a page keeps of a stream of events: stretches instead of windows, sums instead of lines. Pure.

Windows overlap, so time is shared out: each window speaks for the time nearest to its own middle, up to the windows
before and after it; where none touches, to its own start or end. So every second that some window saw counts once.
Windows in a row that say the same are a bout. Activities are those that the runtime decided on, by their lines.

    windows     0────────10
                     5────────15            middles 5 and 10: the first speaks for 0 to 7.5, the second for 7.5 to 15
"""

import heapq
from array import array
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_run.report.reasons import Episode, Gathering, gathered
from mmvq_run.report.told import Activity, Device, End, Gap, Session, Window

UNKNOWN: Final = -1  # a bout's kind; all others are places in Day.labels
NOT_WORN, LOST, SILENT, RESET, OTHER = range(5)  # kinds of states; a connected device is in none
STATES: Final = ("not_worn", "lost", "silent", "reset")
SHOWN: Final = 400  # episodes with their reasons, the longest of a file: a page of one or two megabytes
RECENT: Final = 4000  # windows that may have passed between an activity's onset and its decision: minutes, at any hop
SLACK_S: Final = 1e-3  # events are rounded to 4 decimals


class Marks:
    """Stretches of time, in the order they were told, each of a kind: many, so they are kept in 20 bytes each."""

    def __init__(self) -> None:
        self.begins, self.ends, self.kinds = array("d"), array("d"), array("i")

    def add(self, begin: float, end: float, kind: int = 0) -> None:
        """From `begin` to `end`, in seconds."""
        self.begins.append(begin)
        self.ends.append(max(begin, end))
        self.kinds.append(kind)

    def __len__(self) -> int:
        return len(self.begins)


@dataclass
class Count:
    """How often something came, and what it comes to in samples and seconds."""

    times: int = 0
    samples: int = 0
    seconds: float = 0.0

    def add(self, samples: int, seconds: float) -> None:
        """It came once more."""
        self.times, self.samples, self.seconds = self.times + 1, self.samples + samples, self.seconds + seconds


@dataclass
class _Bout:
    begin: float
    kind: int
    last: Window


class Day:
    """All streams of a file, and what they have in common.

    wall: whether all streams know what time it was; labels: by name, the kinds of bouts and activities.
    """

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.wall = True
        self.labels: dict[str, int] = {}
        self.episodes_left_out = 0
        self._episodes: list[tuple[float, int, Episode]] = []
        self._serial = count()

    @property
    def episodes(self) -> list[Episode]:
        """The longest, in the order of streams and time."""
        return sorted((episode for *_, episode in self._episodes), key=lambda one: (one.stream, one.begin, one.end))

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last moment of its streams, a second apart at the least."""
        begin = min(map(self.origin, self.streams))
        return begin, max(begin + 1, *(self.origin(stream) + stream.until for stream in self.streams))

    @property
    def shortest(self) -> float:
        """Seconds of the shortest episode that was kept; 0 without any."""
        return self._episodes[0][0] if self._episodes else 0.0

    def begin(self, name: str, session: Session) -> "Stream":
        """Another stream."""
        stream = Stream(self, name, session)
        self.streams.append(stream)
        self.wall = self.wall and session.wall is not None
        return stream

    def origin(self, stream: "Stream") -> float:
        """The moment of a stream's t = 0: seconds since 1970 if all streams know them (wall), else 0."""
        return stream.session.wall or 0.0 if self.wall else 0.0

    def kind(self, label: str) -> int:
        """A label's number in marks."""
        return self.labels.setdefault(label, len(self.labels))

    def keep(self, episode: Episode) -> None:
        """Keep an episode if it is among the longest."""
        heapq.heappush(self._episodes, (episode.seconds, next(self._serial), episode))
        if len(self._episodes) > SHOWN:
            heapq.heappop(self._episodes)
            self.episodes_left_out += 1


class Stream:
    """One stream. Seconds are of its own time, which begins at 0.

    windows: of each its middle and kind; confidences: as many. bouts: by label or UNKNOWN; decided: activities, by
    label; gaps; states: by STATES. lost, in_state: the same counted by name. until: the latest time told; ended:
    whether its end event came.
    """

    def __init__(self, day: Day, name: str, session: Session) -> None:
        self.name = name
        self.session = session
        self.until = 0.0
        self.ended = False
        self.devices: dict[tuple[str | None, float | None], None] = {}  # a set that keeps its order
        self.patched = self.bad_frames = 0
        self.windows, self.confidences = Marks(), array("f")
        self.bouts, self.decided, self.gaps, self.states = Marks(), Marks(), Marks(), Marks()
        self.lost: dict[str, Count] = {}
        self.in_state: dict[str, Count] = {}
        self._day = day
        self._number = len(day.streams)
        self._bout: _Bout | None = None
        self._active: tuple[Gathering, Activity] | None = None
        self._unknown: Gathering | None = None
        self._recent: deque[Window] = deque(maxlen=RECENT)  # that said one label in a row
        self._link: tuple[str, float] | None = None  # state and since when; None while the device is there
        self._unworn_since: float | None = None

    def take(self, told: Window | Activity | Device | Gap | End, where: str) -> None:
        """Take the stream's next event. BadInput (at `where`) if its windows run backwards."""
        self.until = max(self.until, told.end if isinstance(told, Window) else told.t)
        match told:
            case Window():
                self._window(told, where)
            case Activity():
                self._activity(told)
            case Device():
                self._device(told)
            case Gap():
                self.gaps.add(max(0.0, told.t - told.seconds), told.t)
                self.lost.setdefault(told.why, Count()).add(told.lost, told.seconds)
            case End():
                self.ended, self.bad_frames = True, told.bad_frames

    def close(self) -> None:
        """The file is over, or another session of the same name begins."""
        if self._active is not None:
            self._end_activity(self._bout.last.end if self._bout else self.until, over=False)
        self._end_bout(None)
        self._end_link(self.until)
        self._end_unworn(self.until)

    def _window(self, window: Window, where: str) -> None:
        if self._bout is not None and window.start <= self._bout.last.start:
            raise BadInput(
                f"{where}: a window of {window.start:g} s after one of {self._bout.last.start:g} s; the file mixes "
                "several runs, so give the output of one run, or of runs one after the other"
            )
        kind = UNKNOWN if window.unknown else self._day.kind(window.label)
        self.windows.add(window.middle, window.middle, kind)
        self.confidences.append(window.confidence)
        self.patched += window.patched
        self._go_on(window, kind)
        if self._active is not None:
            self._active[0].add(window)
        if window.unknown or (self._recent and self._recent[-1].label != window.label):
            self._recent.clear()
        if not window.unknown:
            self._recent.append(window)

    def _go_on(self, window: Window, kind: int) -> None:
        """The bout goes on, or the next one begins."""
        bout, begin = self._bout, window.start
        touches = bout is not None and window.start <= bout.last.end + SLACK_S
        if bout is not None and touches and kind == bout.kind:
            bout.last = window
        else:
            if bout is not None and touches:
                begin = (bout.last.middle + window.middle) / 2
            self._end_bout(begin if touches else None)
            self._bout = _Bout(begin, kind, window)
            self._unknown = Gathering(None) if kind == UNKNOWN else None
        if self._unknown is not None:
            self._unknown.add(window)

    def _end_bout(self, at: float | None) -> None:
        """At that moment, or where its last window ends."""
        if self._bout is None:
            return
        begin, end = self._bout.begin, self._bout.last.end if at is None else at
        self.bouts.add(begin, end, self._bout.kind)
        if self._unknown is not None:
            self._day.keep(self._unknown.episode(self._number, begin, end, None, True))

    def _activity(self, told: Activity) -> None:
        if told.duration is None:
            self._end_activity(told.t, over=False)
            since = [window for window in self._recent if window.middle >= told.onset - SLACK_S]
            same = since and since[0].label == told.label
            self._active = gathered(told.label, since if same else ()), told
        elif self._active is not None and self._active[1].label == told.label:
            self._end_activity(told.t, over=True)
        else:
            self._keep(Gathering(told.label), told, told.t, None, True)

    def _end_activity(self, end: float, over: bool) -> None:
        if self._active is not None:
            gathering, began = self._active
            self._keep(gathering, began, end, began.t, over)
            self._active = None

    def _keep(self, gathering: Gathering, began: Activity, end: float, decided: float | None, over: bool) -> None:
        self.decided.add(began.onset, end, self._day.kind(began.label))
        self._day.keep(gathering.episode(self._number, began.onset, end, decided, over))

    def _device(self, told: Device) -> None:
        if told.uid is not None or told.rate_hz is not None:
            self.devices[told.uid, told.rate_hz] = None
        if told.state != "connected":
            self.in_state.setdefault(told.state, Count()).add(0, 0.0)
        if told.onset is not None:  # that the link is back does not tell whether the device is worn
            self._end_unworn(told.onset)
            self._unworn_since = told.onset if told.state == STATES[NOT_WORN] else None
            return
        self._end_link(told.t)
        if told.state == STATES[RESET]:
            self.states.add(told.t, told.t, RESET)
        elif told.state != "connected":
            self._link = told.state, told.t

    def _end_link(self, t: float) -> None:
        if self._link is not None:
            state, since = self._link
            self._spend(state, since, t)
            self._link = None

    def _end_unworn(self, t: float) -> None:
        if self._unworn_since is not None:
            self._spend(STATES[NOT_WORN], self._unworn_since, t)
            self._unworn_since = None

    def _spend(self, state: str, since: float, t: float) -> None:
        self.states.add(since, t, STATES.index(state) if state in STATES else OTHER)
        self.in_state[state].seconds += max(0.0, t - since)
