"""From windows to activities: hysteresis, so that one odd window neither starts nor ends anything. Pure.

An activity starts when its probability is at least `enter` in every window for `min_duration_s`, and ends when it
falls below `leave` (enter at theta, leave at theta - .15: silero-vad). After its end it cannot start again for
`refractory_s`. All times are stream time, never the host's clock, so a fast replay judges as the live run did.
An unknown window speaks for no activity.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ENTER: Final = 0.6
HYSTERESIS: Final = 0.15
EPSILON_S: Final = 1e-6  # window times are sums of floats


@dataclass(frozen=True)
class Rule:
    """Probabilities between 0 and 1, leave not above enter; durations in seconds."""

    enter: float = ENTER
    leave: float = ENTER - HYSTERESIS
    min_duration_s: float = 2.0
    refractory_s: float = 2.0


@dataclass(frozen=True)
class Verdict:
    """An activity started or ended (phase), decided at `t`; it began at `onset`. duration: t - onset, at the end."""

    t: float
    phase: str
    label: str
    onset: float
    duration: float | None = None


def parse_rule(judge: Mapping[str, Any]) -> Rule:
    """A rule from the model's metadata; what is missing has the defaults. ValueError if it cannot be meant."""
    values: dict[str, float] = {}
    for key, high in (("enter", 1.0), ("leave", 1.0), ("min_duration_s", math.inf), ("refractory_s", math.inf)):
        if key not in judge:
            continue
        value = judge[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high or value == math.inf:
            raise ValueError(f"judge has {key} {str(value)[:40]!r}")
        values[key] = float(value)
    values.setdefault("leave", max(0.0, values.get("enter", ENTER) - HYSTERESIS))
    rule = Rule(**values)
    if rule.leave > rule.enter:
        raise ValueError(f"judge has leave {rule.leave:g} above enter {rule.enter:g}")
    return rule


class Judge:
    """Windows in, in the order of time; verdicts out."""

    def __init__(self, rule: Rule, labels: Sequence[str]) -> None:
        self._rule = rule
        self._labels = labels
        self._active: int | None = None
        self._onset = 0.0
        self._candidate: int | None = None
        self._candidate_onset = 0.0
        self._candidate_since = 0.0
        self._ended: dict[int, float] = {}  # stream time of each label's last end
        self._last_end: float | None = None

    def push(self, start: float, end: float, probabilities: Sequence[float], unknown: bool) -> list[Verdict]:
        """Take a window from `start` to `end` (s) with the probability of each label."""
        # Nothing was seen for longer than a window: what went on before is over.
        out = self.flush() if self._last_end is not None and start - self._last_end > end - start else []
        # Between two windows an activity began in the middle; a stream's first window is it from its start.
        onset = start if self._last_end is None else (start + end) / 2
        self._last_end = end
        scores = [0.0] * len(self._labels) if unknown else list(probabilities)
        if self._active is not None and scores[self._active] < self._rule.leave:
            out.append(self._stop(self._active, end))
        if self._active is None:
            out += self._consider(scores, onset, end)
        return out

    def flush(self) -> list[Verdict]:
        """The stream ends here: so does the activity, at the end of the last window."""
        out = []
        if self._active is not None and self._last_end is not None:
            out.append(self._stop(self._active, self._last_end))
        self._candidate = self._last_end = None
        return out

    def _consider(self, scores: Sequence[float], onset: float, end: float) -> list[Verdict]:
        best = max(range(len(scores)), key=scores.__getitem__)
        if scores[best] < self._rule.enter:
            self._candidate = None
            return []
        if best != self._candidate:
            self._candidate, self._candidate_onset, self._candidate_since = best, onset, end
        if end - self._candidate_since < self._rule.min_duration_s - EPSILON_S:
            return []
        if end - self._ended.get(best, -math.inf) < self._rule.refractory_s - EPSILON_S:
            return []
        self._active, self._onset, self._candidate = best, self._candidate_onset, None
        return [Verdict(end, "start", self._labels[best], self._onset)]

    def _stop(self, active: int, t: float) -> Verdict:
        self._active = None
        self._ended[active] = t
        return Verdict(t, "end", self._labels[active], self._onset, t - self._onset)
