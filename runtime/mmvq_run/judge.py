"""From windows to activities: hysteresis, so that one odd window neither starts nor ends anything. Pure.

An activity starts when its probability is at least `enter` in every window for `min_duration_s`, and ends when it
falls below `leave` (enter at theta, leave at theta - .15: silero-vad). After its end it cannot start again for
`refractory_s`. All times are stream time, never the host's clock, so a fast replay judges as the live run did.
An unknown window speaks for no activity. One rule serves all activities, save those that have their own:

    {"enter": 0.6, "min_duration_s": 5, "activities": {"jogging": {"enter": 0.8, "refractory_s": 60}}}
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mmvq_bridge.command import BadInput

ENTER: Final = 0.6
LONGEST_S: Final = 1e9  # thirty years: no duration that is meant
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


@dataclass(frozen=True)
class Rules:
    """common: for every activity that `own` has none for."""

    common: Rule = Rule()
    own: Mapping[str, Rule] = field(default_factory=dict)

    def of(self, label: str) -> Rule:
        """An activity's rule."""
        return self.own.get(label, self.common)


def parse_rules(judge: Mapping[str, Any], labels: Sequence[str]) -> Rules:
    """Rules from the model's metadata, or a person's. What is missing has the defaults; what an activity's own rule
    lacks, the common one has. ValueError if they cannot be meant."""
    common = _parse_rule(judge, "judge", Rule())
    own = judge.get("activities", {})
    if not isinstance(own, Mapping):
        raise ValueError("judge has activities that are no object")
    for label, rule in own.items():
        if label not in labels:
            raise ValueError(f"judge has a rule for {label[:40]!r}, which is no activity of the model")
        if not isinstance(rule, Mapping):
            raise ValueError(f"judge has a rule for {label} that is no object")
    return Rules(common, {label: _parse_rule(rule, f"judge for {label}", common) for label, rule in own.items()})


def read_rules(path: str, labels: Sequence[str]) -> Rules:
    """A person's rules, as JSON. BadInput if they are not there or cannot be meant."""
    try:
        judge = json.loads(Path(path).read_bytes())
        if not isinstance(judge, dict):
            raise ValueError("no JSON object")
        return parse_rules(judge, labels)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give a file of rules with --judge") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: {error}; it holds enter, leave, min_duration_s, refractory_s, activities") from None


def _parse_rule(judge: Mapping[str, Any], where: str, default: Rule) -> Rule:
    values: dict[str, float] = {}
    for key, high in (("enter", 1.0), ("leave", 1.0), ("min_duration_s", LONGEST_S), ("refractory_s", LONGEST_S)):
        if key not in judge:
            continue
        value = judge[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            raise ValueError(f"{where} has {key} {str(value)[:40]!r}")
        values[key] = float(value)
    if "enter" in values:
        values.setdefault("leave", max(0.0, values["enter"] - HYSTERESIS))
    rule = replace(default, **values)
    if rule.leave > rule.enter:
        raise ValueError(f"{where} has leave {rule.leave:g} above enter {rule.enter:g}")
    return rule


class Judge:
    """Windows in, in the order of time; verdicts out."""

    def __init__(self, rules: Rules, labels: Sequence[str]) -> None:
        self._rules = [rules.of(label) for label in labels]
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
        if self._active is not None and scores[self._active] < self._rules[self._active].leave:
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
        entering = [i for i, rule in enumerate(self._rules) if scores[i] >= rule.enter]
        if not entering:
            self._candidate = None
            return []
        best = max(entering, key=scores.__getitem__)
        rule = self._rules[best]
        if best != self._candidate:
            self._candidate, self._candidate_onset, self._candidate_since = best, onset, end
        if end - self._candidate_since < rule.min_duration_s - EPSILON_S:
            return []
        if end - self._ended.get(best, -math.inf) < rule.refractory_s - EPSILON_S:
            return []
        self._active, self._onset, self._candidate = best, self._candidate_onset, None
        return [Verdict(end, "start", self._labels[best], self._onset)]

    def _stop(self, active: int, t: float) -> Verdict:
        self._active = None
        self._ended[active] = t
        return Verdict(t, "end", self._labels[active], self._onset, t - self._onset)
