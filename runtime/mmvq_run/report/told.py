"""What a line of a file of events (DESIGN 3.6) tells, checked field by field. Pure.

Texts come out printable and not over long, numbers finite and within what a wearable can mean; anything else is a
BadInput that names the line.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mmvq_bridge.command import BadInput
from mmvq_run.explain import STILL

LONGEST_TEXT: Final = 160  # characters of a name or a phrase on a page
LONGEST_SENTENCE: Final = 600  # three or four phrases with their times
LONGEST_S: Final = 1e9  # thirty years: later is no time of a wearable
LARGEST: Final = 1e6  # of a contribution: scores of a model lie far below
CODES: Final = 16  # of a piece: one an axis
AGAIN: Final = "make the file again with mmvq-run --format jsonl"


@dataclass(frozen=True)
class Session:
    """A stream begins. wall: seconds since 1970 (UTC) at t = 0, None where the source had no clock."""

    wall: float | None
    model: str
    source: str


@dataclass(frozen=True)
class Device:
    """A device's state, known at `t`. onset: since when it is worn or not, which is known only later; None for states
    of the link. In seconds."""

    t: float
    onset: float | None
    state: str
    uid: str | None
    rate_hz: float | None


@dataclass(frozen=True)
class Gap:
    """`lost` samples, `seconds` long, are missing; the stream goes on at `t`."""

    t: float
    lost: int
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a window: from `t` for `length` seconds, its codes, its tested words if it has any, and what it adds
    to the label's score."""

    t: float
    length: float
    codes: tuple[int, ...]
    words: str | None
    contribution: float

    @property
    def numbers(self) -> str:
        """The codes, as the runtime writes them."""
        return "·".join(map(str, self.codes))

    @property
    def what(self) -> str:
        """In words, or its codes where there are none."""
        return self.words or f"code {self.numbers}"


@dataclass(frozen=True, slots=True)
class Window:
    """A window's verdict; `top` are labels with their probabilities, the best first."""

    start: float
    end: float
    label: str
    confidence: float
    unknown: bool
    top: tuple[tuple[str, float], ...]
    because: tuple[Piece, ...]
    in_words: str | None
    patched: bool

    @property
    def middle(self) -> float:
        """Where an activity that begins with this window is said to begin."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Activity:
    """An activity that began at `onset` is known at `t` to have begun, or, with a duration, to have ended."""

    t: float
    label: str
    onset: float
    duration: float | None


@dataclass(frozen=True)
class End:
    """The stream's end."""

    t: float
    bad_frames: int


Told = Session | Device | Gap | Window | Activity | End


@dataclass(frozen=True)
class Fields:
    """The fields of a line, each of the kind it should be, or BadInput. Texts can be printed, and are not long."""

    event: dict[str, Any]
    where: str

    def number(self, key: str, high: float = LONGEST_S, low: float = 0.0) -> float:
        """A number from `low` to `high`."""
        value = self.event.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(key, "a number")
        return float(value)

    def count(self, key: str) -> int:
        """A whole number, not negative."""
        value = self.number(key, 1e15)
        if value != math.floor(value):
            raise self.wrong(key, "a whole number")
        return int(value)

    def text(self, key: str, longest: int = LONGEST_TEXT) -> str:
        """A text, cut if it is longer."""
        value = self.event.get(key)
        if not isinstance(value, str):
            raise self.wrong(key, "a text")
        return printable(value, longest)

    def maybe_text(self, key: str, longest: int = LONGEST_TEXT) -> str | None:
        """A text, or None where there is null or nothing."""
        return None if self.event.get(key) is None else self.text(key, longest)

    def name(self, key: str) -> str:
        """A whole number or a text, as a text, whole."""
        value = self.event.get(key)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.wrong(key, "a number or a text")
        return str(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.event.get(key)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def list(self, key: str) -> list[Any]:
        """A list of anything."""
        value = self.event.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def wrong(self, key: str, what: str) -> BadInput:
        """The error of a field that is not `what` it should be."""
        kind = printable(str(self.event.get("type")), 40)
        return BadInput(f"{self.where}: {key!r} of the {kind} is not {what}; {AGAIN}")


def printable(text: str, longest: int) -> str:
    """Without what neither a page shows nor UTF-8 holds, and no longer than that."""
    shown = text[: longest + 1]
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else "?" for letter in shown)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _session(fields: Fields) -> Session:
    wall = None
    if (text := fields.maybe_text("wall")) is not None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise fields.wrong("wall", "a time such as 2026-11-22T10:00:00Z") from None
        if moment.tzinfo is None or not 1970 <= moment.year < 3000:
            raise fields.wrong("wall", "a time such as 2026-11-22T10:00:00Z")
        wall = moment.timestamp()
    return Session(wall, fields.text("model"), fields.text("source"))


def _device(fields: Fields) -> Device:
    onset = fields.number("onset") if "onset" in fields.event else None
    rate = None if fields.event.get("rate_hz") is None else fields.number("rate_hz")
    return Device(fields.number("t"), onset, fields.text("state"), fields.maybe_text("uid"), rate)


def _gap(fields: Fields) -> Gap:
    return Gap(fields.number("t"), fields.count("lost"), fields.number("seconds"), fields.text("why"))


def _window(fields: Fields) -> Window:
    start, end = fields.number("start"), fields.number("end")
    if not start < end:
        raise fields.wrong("end", "after its start")
    return Window(
        start=start,
        end=end,
        label=fields.text("label"),
        confidence=fields.number("confidence", 1.0),
        unknown=fields.flag("unknown"),
        top=tuple(_ranked(fields, entry) for entry in fields.list("top")),
        because=tuple(_piece(fields, entry) for entry in fields.list("because")),
        in_words=fields.maybe_text("in_words", LONGEST_SENTENCE),
        patched="patched" in fields.event,
    )


def _ranked(fields: Fields, entry: Any) -> tuple[str, float]:
    if not isinstance(entry, list) or len(entry) != 2:
        raise fields.wrong("top", "a list of labels with their probabilities")
    pair = Fields({"type": "window", "top": entry[0], "p": entry[1]}, fields.where)
    return pair.text("top"), pair.number("p", 1.0)


def _piece(fields: Fields, entry: Any) -> Piece:
    if not isinstance(entry, dict):
        raise fields.wrong("because", "a list of pieces")
    piece = Fields({**entry, "type": "window's piece"}, fields.where)
    codes = piece.list("codes")
    if not 0 < len(codes) <= CODES or not all(type(code) is int and 0 <= code < LARGEST for code in codes):
        raise piece.wrong("codes", "a list of codes")
    return Piece(
        t=piece.number("t"),
        length=piece.number("length"),
        codes=tuple(codes),
        words=STILL if entry.get("still") is True else piece.maybe_text("sub_action"),
        contribution=piece.number("contribution", LARGEST, -LARGEST),
    )


def _activity(fields: Fields) -> Activity:
    phase = fields.text("phase")
    if phase not in ("start", "end"):
        raise fields.wrong("phase", "start or end")
    duration = fields.number("duration") if phase == "end" else None
    return Activity(fields.number("t"), fields.text("label"), fields.number("onset"), duration)


def _end(fields: Fields) -> End:
    return End(fields.number("t"), fields.count("bad_frames"))


MAKERS: Final[dict[str, Callable[[Fields], Told]]] = {
    "session": _session,
    "device": _device,
    "gap": _gap,
    "window": _window,
    "activity": _activity,
    "end": _end,
}
