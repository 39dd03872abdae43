"""Timed samples to events: resample, cut windows, ask the model, judge, explain. Pure.

The model is asked, not called: what takes samples is a generator that yields windows, is sent their predictions, and
returns events. So whoever drives it may put the windows of many wearables into one call (`answered` is for one).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from mmvq_bridge.stream.timed import Wearer
from mmvq_bridge.wear import WearDetector, Worn
from mmvq_run import events
from mmvq_run.events import Event
from mmvq_run.explain import SHOWN, in_words, pieces_for, reasons
from mmvq_run.judge import Judge, Rules
from mmvq_run.metadata import Metadata
from mmvq_run.model import Floats as Floats32
from mmvq_run.model import Prediction
from mmvq_run.signal import GridSamples, Resampler, Window, Windower
from mmvq_run.signal.resample import HALF_WIDTH_PERIODS, Floats

TOP: Final = 3  # labels in an event

Asking = Generator[Floats32, Prediction, list[Event]]  # yields windows (window, 3) in g, is sent predictions of them


def answered(asking: Asking, predict: Callable[[Floats32], Prediction]) -> list[Event]:
    """The events, with each window predicted as it is asked for."""
    try:
        window = next(asking)
        while True:
            window = asking.send(predict(window))
    except StopIteration as done:
        events: list[Event] = done.value
        return events


@dataclass(frozen=True)
class Options:
    """hop_s: seconds between windows, None for the model's own; explain: none, top or full; units: of CSV lines;
    rules: of the judge, None for the model's own."""

    hop_s: float | None = None
    explain: str = "top"
    units: str = "auto"
    rules: Rules | None = None


class Pipeline:
    """A stream's samples in, window, activity and gap events out, in the order of t within a segment.

    windows, lost: how many windows there were and how many samples were missing.
    """

    def __init__(self, metadata: Metadata, options: Options) -> None:
        self.windows = self.lost = 0
        self._metadata = metadata
        self._most = SHOWN[options.explain]
        self._windower = Windower(metadata.rate_hz, metadata.window, options.hop_s or metadata.hop_s)
        self._judge = Judge(options.rules or metadata.rules, metadata.labels)
        self._wear, self._worn = WearDetector(), True
        self._wearer: Wearer | None = None
        self._resampler: Resampler | None = None
        # Resampling looks ahead by some grid periods: an event that falls between waits for the windows before it.
        self._delay_s = (HALF_WIDTH_PERIODS + 1) / metadata.rate_hz
        self._held: list[Event] = []

    def begin_segment(self, wearer: Wearer) -> Asking:
        """What follows comes from a clock or at a rate of its own: nothing is computed across."""
        out = yield from self.flush()
        self._wearer = wearer
        self._resampler = Resampler(wearer.rate_hz, self._metadata.rate_hz)
        return out

    def feel(self, celsius: float) -> None:
        """The device tells its temperature."""
        self._wear.feel(celsius)

    def push(self, t: Floats, xyz: Floats) -> Asking:
        """Take samples: seconds (n,), never decreasing, and g (n, 3). `begin_segment` comes first."""
        if self._resampler is None or len(t) == 0:
            return []
        out = yield from self._settle(self._resampler.push(t, xyz))
        for worn in self._wear.push(t, xyz):
            out += self._take(worn)
        return self._in_order(out, float(t[-1]) - self._delay_s)

    def hold(self, event: Event) -> None:
        """Tell `event` when the windows before its t have been told."""
        self.lost += event.get("lost", 0)
        self._held.append(event)

    def flush(self) -> Asking:
        """The segment ends: its last windows, and what was held."""
        out = (yield from self._settle(self._resampler.flush())) if self._resampler else []
        return self._in_order(out, float("inf"))

    def close(self) -> Asking:
        """The stream ends, or the device is gone: so does what went on."""
        out = (yield from self._settle(self._resampler.flush())) if self._resampler else []
        return self._in_order(out + self._end_activity(), float("inf"))

    def _end_activity(self) -> list[Event]:
        return [events.activity(verdict) for verdict in self._judge.flush()]

    def _take(self, worn: Worn) -> list[Event]:
        """The wearable is worn from now on, or is not: then what it measures is no activity."""
        self._worn = worn.worn
        self.hold(events.wear(worn, self._wearer))
        return [] if worn.worn else self._end_activity()

    def _in_order(self, told: list[Event], until: float) -> list[Event]:
        until = max([until, *(float(event["t"]) for event in told)])
        due = [event for event in self._held if event["t"] <= until]
        self._held = [event for event in self._held if event["t"] > until]
        return sorted(told + due, key=lambda event: float(event["t"])) if due else told

    def _settle(self, pieces: list[GridSamples]) -> Asking:
        out: list[Event] = []
        for piece in pieces:
            for window in self._windower.push(piece):
                prediction = yield window.xyz
                out += self._tell(window, prediction)
        return out

    def _tell(self, window: Window, prediction: Prediction) -> list[Event]:
        metadata = self._metadata
        probabilities = [float(p) for p in prediction.probabilities]
        ranked = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
        unknown = prediction.unknown_score > metadata.unknown_threshold
        pieces = [] if self._most == 0 else pieces_for(prediction, metadata, ranked[0], window.start)
        told = events.window(
            window.start,
            window.end,
            [(metadata.labels[i], probabilities[i]) for i in ranked[:TOP]],
            unknown,
            [piece.as_event() for piece in pieces[: self._most]],
            in_words(reasons(pieces)) if pieces else None,
            window.patched,
        )
        self.windows += 1
        verdicts = self._judge.push(window.start, window.end, probabilities, unknown or not self._worn)
        before = [events.activity(verdict) for verdict in verdicts if verdict.t < window.end]
        return [*before, told, *(events.activity(verdict) for verdict in verdicts[len(before) :])]
