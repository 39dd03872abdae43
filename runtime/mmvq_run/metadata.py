"""What a model file says of itself (DESIGN 3.5, `metadata_props["mmvq"]`), checked before anybody relies on it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mmvq_run.judge import Rules, parse_rules

SCHEMA: Final = 1
# Limits: far above any model that an edge device runs, far below what would hurt the host.
MOST_NAMES: Final = 1000
MOST_CODES: Final = 65_536
LONGEST_NAME: Final = 200
LONGEST_TEXT: Final = 16 << 20
MOST_CURVES: Final = 4  # of a code
LONGEST_CURVE: Final = 1000
MOST_SAMPLES: Final = 100_000
RATES_HZ: Final = (1.0, 10_000.0)


@dataclass(frozen=True)
class Metadata:
    """labels, sub_actions: names in the order of the model's outputs; code_names: a code's tested name, or None;
    code_views: what of a piece a code is of (axes, gravity, rhythm); code_shapes: its curves, to be drawn.

    window: samples; rate_hz: of the grid; bias: (classes,), what contributions add up with.
    """

    name: str
    labels: tuple[str, ...]
    rate_hz: float
    window: int
    hop_s: float
    axes: str
    bias: tuple[float, ...]
    temperature: float
    unknown_threshold: float
    sub_actions: tuple[str, ...]
    code_names: tuple[str | None, ...]
    code_views: tuple[str, ...]
    code_shapes: tuple[tuple[tuple[float, ...], ...], ...]
    rules: Rules

    @property
    def window_s(self) -> float:
        """The window's length in seconds."""
        return self.window / self.rate_hz


def parse_metadata(text: bytes) -> Metadata:
    """Metadata from JSON. ValueError says which key cannot be used."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{len(text)} bytes of it")
    try:
        raw = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(raw, dict):
        raise ValueError("no JSON object")
    if raw.get("schema") != SCHEMA:
        raise ValueError(f"schema {repr(raw.get('schema'))[:40]}; this mmvq-run reads schema {SCHEMA}")
    labels = _names(raw, "labels")
    if not labels or len(set(labels)) != len(labels):
        raise ValueError("labels is empty or names one twice")
    for key, value in (("units", "g"), ("axes", "xyz")):
        if raw.get(key) != value:
            raise ValueError(f"{key} is {repr(raw.get(key))[:40]}, not {value!r}")
    rate = _number(raw, "rate_hz", *RATES_HZ)
    window = _number(raw, "window", 2, MOST_SAMPLES)
    if window != int(window):
        raise ValueError("window is no whole number of samples")
    bias = tuple(_finite(value, "bias") for value in _list(raw, "bias", MOST_NAMES))
    if len(bias) != len(labels):
        raise ValueError(f"{len(bias)} values of bias for {len(labels)} labels")
    codes = _list(raw, "codes", MOST_CODES)
    judge = raw.get("judge", {})
    if not isinstance(judge, Mapping):
        raise ValueError("judge is no object")
    return Metadata(
        name=_name(raw.get("name"), "name"),
        labels=labels,
        rate_hz=rate,
        window=int(window),
        hop_s=_number(raw, "hop_s", 1 / rate, MOST_SAMPLES / rate),
        axes="xyz",
        bias=bias,
        temperature=_number(raw, "temperature", 1e-6, 1e6),
        unknown_threshold=_number(raw, "unknown_threshold", -math.inf, math.inf),
        sub_actions=_names(raw, "sub_actions"),
        code_names=tuple(_code_name(code) for code in codes),
        code_views=tuple(_name(code.get("view", "axes"), "codes") for code in codes),
        code_shapes=tuple(_shape(code) for code in codes),
        rules=parse_rules(judge, labels),
    )


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _list(raw: Mapping[str, Any], key: str, most: int) -> Sequence[Any]:
    value = raw.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{key} is no list of up to {most}")
    return value


def _names(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_name(value, key) for value in _list(raw, key, MOST_NAMES))


def _name(value: Any, key: str) -> str:
    # Printable: names go to a terminal, which would obey control characters.
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{key} holds {str(value)[:40]!r}, which is no name")
    return value


def _code_name(code: Any) -> str | None:
    if not isinstance(code, Mapping):
        raise ValueError("codes holds something that is no object")
    name = code.get("name")
    return None if name is None else _name(name, "codes")


def _shape(code: Mapping[str, Any]) -> tuple[tuple[float, ...], ...]:
    curves = _list(code, "shape", MOST_CURVES)
    if not all(isinstance(curve, list) and 0 < len(curve) <= LONGEST_CURVE for curve in curves):
        raise ValueError(f"codes has a shape that is no list of curves of up to {LONGEST_CURVE} values")
    return tuple(tuple(_finite(value, "shape") for value in curve) for curve in curves)


def _number(raw: Mapping[str, Any], key: str, low: float, high: float) -> float:
    number = _finite(raw.get(key), key)
    if not low <= number <= high:
        raise ValueError(f"{key} is {number:g}, not between {low:g} and {high:g}")
    return number


def _finite(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise ValueError(f"{key} holds {str(value)[:40]!r}, which is no number")
    return float(value)
