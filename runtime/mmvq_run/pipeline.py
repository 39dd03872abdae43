"""Timed samples to events: resample, cut windows, ask the model, judge, explain. Pure but for the model's work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mmvq_run import events
from mmvq_run.events import Event
from mmvq_run.explain import SHOWN, in_words, pieces_for, reasons
from mmvq_run.judge import Judge
from mmvq_run.metadata import Metadata
from mmvq_run.model import Floats as Floats32
from mmvq_run.model import Prediction
from mmvq_run.signal import GridSamples, Resampler, Window, Windower
from mmvq_run.signal.resample import HALF_WIDTH_PERIODS, Floats

TOP: Final = 3  # labels in an event


@dataclass(frozen=True)
class Options:
    """hop_s: seconds between windows, None for the model's own; explain: none, top or full; units: of CSV lines."""

    hop_s: float | None = None
    explain: str = "top"
    units: str = "auto"


class Pipeline:
    """A stream's samples in, window, activity and gap events out, in the order of t within a segment.

    windows, lost: how many windows there were and how many samples were missing.
    """

    def __init__(self, metadata: Metadata, predict: Callable[[Floats32], Prediction], options: Options) -> None:
        self.windows = self.lost = 0
        self._metadata = metadata
        self._predict = predict
        self._most = SHOWN[options.explain]
        self._windower = Windower(metadata.rate_hz, metadata.window, options.hop_s or metadata.hop_s)
        self._judge = Judge(metadata.rule, metadata.labels)
        self._resampler: Resampler | None = None
        # Resampling looks ahead by some grid periods: an event that falls between waits for the windows before it.
        self._delay_s = (HALF_WIDTH_PERIODS + 1) / metadata.rate_hz
        self._held: list[Event] = []

    def begin_segment(self, source_hz: float) -> list[Event]:
        """What follows comes from a clock or at a rate of its own: nothing is computed across."""
        out = self.flush()
        self._resampler = Resampler(source_hz, self._metadata.rate_hz)
        return out

    def push(self, t: Floats, xyz: Floats) -> list[Event]:
        """Take samples: seconds (n,), never decreasing, and g (n, 3). `begin_segment` comes first."""
        if self._resampler is None or len(t) == 0:
            return []
        out = self._settle(self._resampler.push(t, xyz))
        return self._in_order(out, float(t[-1]) - self._delay_s)

    def hold(self, event: Event) -> None:
        """Tell `event` when the windows before its t have been told."""
        self.lost += event.get("lost", 0)
        self._held.append(event)

    def flush(self) -> list[Event]:
        """The segment ends: its last windows, and what was held."""
        out = self._settle(self._resampler.flush()) if self._resampler else []
        return self._in_order(out, float("inf"))

    def end_activity(self) -> list[Event]:
        """The stream ends, or the device is gone: so does what went on."""
        return [events.activity(verdict) for verdict in self._judge.flush()]

    def _in_order(self, told: list[Event], until: float) -> list[Event]:
        due = [event for event in self._held if event["t"] <= until]
        self._held = [event for event in self._held if event["t"] > until]
        return sorted(told + due, key=lambda event: float(event["t"])) if due else told

    def _settle(self, pieces: list[GridSamples]) -> list[Event]:
        return [event for piece in pieces for window in self._windower.push(piece) for event in self._tell(window)]

    def _tell(self, window: Window) -> list[Event]:
        prediction = self._predict(window.xyz)
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
        verdicts = self._judge.push(window.start, window.end, probabilities, unknown)
        before = [events.activity(verdict) for verdict in verdicts if verdict.t < window.end]
        return [*before, told, *(events.activity(verdict) for verdict in verdicts[len(before) :])]
