"""Events as JSON objects (DESIGN 3.6): one function a type, numbers rounded to 4 decimals."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mmvq_bridge.stream.records import Opening
from mmvq_bridge.stream.timed import Missing, Wearer
from mmvq_bridge.wear import Worn
from mmvq_run.judge import Verdict

VERSION: Final = 1
DECIMALS: Final = 4

Event = dict[str, Any]


def session(opening: Opening, model: str) -> Event:
    """The first event of a stream."""
    return _event("session", 0.0, wall=opening.wall, model=model, source=opening.source)


def device(t: float, state: str, wearer: Wearer | None) -> Event:
    """A device's state: connected, silent, lost or reset; t is where its last sample ends."""
    uid, rate = (wearer.uid, wearer.rate_hz) if wearer else (None, None)
    return _event("device", t, state=state, uid=uid, rate_hz=rate)


def wear(worn: Worn, wearer: Wearer | None) -> Event:
    """A device is not worn, or is worn (again connected), since its onset."""
    return device(worn.t, "connected" if worn.worn else "not_worn", wearer) | _rounded({"onset": worn.onset})


def gap(missing: Missing) -> Event:
    """Samples are missing; the stream goes on at t."""
    return _event("gap", missing.t, lost=missing.count, seconds=missing.seconds, why=missing.why)


def window(
    start: float,
    end: float,
    ranked: Sequence[tuple[str, float]],
    unknown: bool,
    because: Sequence[Event],
    words: str | None,
    patched: float,
) -> Event:
    """A window's verdict. ranked: labels with their probabilities, the best first; words: the reasons as a sentence."""
    label, confidence = ranked[0]
    event = _event(
        "window",
        end,
        start=start,
        end=end,
        label=label,
        confidence=confidence,
        unknown=unknown,
        top=[list(entry) for entry in ranked],
        because=list(because),
    )
    if words is not None:
        event["in_words"] = words
    return event | {"patched": round(patched, DECIMALS)} if patched > 0 else event


def activity(verdict: Verdict) -> Event:
    """An activity started or ended."""
    event = _event("activity", verdict.t, phase=verdict.phase, label=verdict.label, onset=verdict.onset)
    return event if verdict.duration is None else event | {"duration": round(verdict.duration, DECIMALS)}


def end(t: float, windows: int, lost: int, bad_frames: int) -> Event:
    """The last event of a stream."""
    return _event("end", t, windows=windows, lost=lost, bad_frames=bad_frames)


def as_json(event: Mapping[str, Any]) -> str:
    """One line, without the line feed."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _event(kind: str, t: float, **fields: Any) -> Event:
    rounded: Event = _rounded({"v": VERSION, "type": kind, "t": t, **fields})
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0  # no -0.0
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return value
