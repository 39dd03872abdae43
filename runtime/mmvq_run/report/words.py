"""Numbers, durations and moments as people read them, and text that stays text. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

NARROW: Final = "\u202f"  # a narrow space that does not break: "78 %" stays on one line
MISSING: Final = "–"
DAY_S: Final = 86_400


def text(value: object) -> str:
    """Anything from the file, so that the page shows it and never obeys it."""
    return escape(str(value), quote=True)


def signed(value: float, digits: int = 2) -> str:
    """With its sign, plus too."""
    return f"{value:+.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 0) -> str:
    """A share as per cent."""
    return MISSING if value is None else f"{100 * value:.{digits}f}{NARROW}%"


def share(part: float, whole: float) -> float | None:
    """part / whole; None where there is no whole."""
    return part / whole if whole > 0 else None


def duration(seconds: float) -> str:
    """As long as it was, in two units at most."""
    if seconds < 60:
        return f"{seconds:.1f}{NARROW}s" if seconds < 59.95 else f"1{NARROW}min"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NARROW}min {rest}{NARROW}s" if rest else f"{minutes}{NARROW}min"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{NARROW}h {minutes % 60}{NARROW}min"


def counted(number: int, what: str) -> str:
    """1 gap, 2 gaps."""
    return f"{number:,}".replace(",", NARROW) + f" {what}" + ("" if number == 1 else "s")


@dataclass(frozen=True)
class Clock:
    """Tells moments: of the day in UTC (wall), or since a stream's start. dates: whether the day must be said."""

    wall: bool
    dates: bool

    @property
    def name(self) -> str:
        """What its times are."""
        return "UTC" if self.wall else "since the stream's start"

    def at(self, moment: float) -> str:
        """Seconds since 1970 (wall) or since the start, to the second, as h:mm:ss."""
        if not self.wall:
            whole = round(moment)
            return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
        time = datetime.fromtimestamp(round(moment), UTC)
        return f"{time:%Y-%m-%d %H:%M:%S}" if self.dates else f"{time:%H:%M:%S}"

    def span(self, begin: float, end: float) -> str:
        """From when to when; a date that both have is said once."""
        same_day = self.dates and date(begin) == date(end)
        return f"{self.at(begin)} – {Clock(self.wall, False).at(end) if same_day else self.at(end)}"

    def mark(self, moment: float, step: float) -> str:
        """Below an axis whose marks lie `step` seconds apart."""
        if not self.wall:
            whole = round(moment)
            return f"{whole // 3600}:{whole // 60 % 60:02}" + (f":{whole % 60:02}" if step < 60 else "")
        time = datetime.fromtimestamp(round(moment), UTC)
        if step >= DAY_S:
            return f"{time:%m-%d}"
        return f"{time:%H:%M:%S}" if step < 60 else f"{time:%H:%M}"

    def whole(self, moment: float) -> str:
        """The moment with its date, whatever `dates` says."""
        return Clock(self.wall, True).at(moment)


def date(moment: float) -> str:
    """The day of a moment, seconds since 1970 (UTC)."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
