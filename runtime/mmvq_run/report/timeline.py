"""The timeline as inline SVG: lanes of a picture, and the same hour by hour. Stretches in, markup out. Pure.

    decided   ▇▇▇▇sitting▇▇▇▇      ▇▇▇walking▇▇▇      what the runtime decided on; those told in full below are links
    windows   ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇░░▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇     what windows said, the unknown striped
    losses            ▒▒            ▏                 gaps hatched, states of the device

Columns (`columns`) that show the same, in a row, are one element.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_run.report.columns import Columns, Floats, fullest, runs, touched
from mmvq_run.report.reasons import Episode
from mmvq_run.report.stream import LOST, NOT_WORN, OTHER, RESET, SILENT, STATES, UNKNOWN, Stream
from mmvq_run.report.totals import arrays
from mmvq_run.report.words import DAY_S, Clock, duration, text

WIDTH: Final = 1100  # what a desk's page is wide
LEFT: Final = 62  # of the lanes: their names stand before
COLUMNS: Final = WIDTH - LEFT - 8  # one a unit
LETTER: Final = 6.4  # mean width of a letter at font size 11
COLOURS: Final = 24  # labels with a colour of their own: more would not differ
OTHERS: Final = -2  # the kind of all labels after these
LEAST: Final = 1.6  # width of what is shorter than a column
HOUR_S: Final = 3600
STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY_S)
MARKS: Final = 12  # of an axis, at most
TITLED: Final = 8  # lanes of a picture whose bouts tell their times: each takes 100 kB
DECIDED, SAID, LOSSES = 20, 12, 9  # heights


@dataclass(frozen=True)
class Lane:
    """A stream in a picture. origin: the moment of its t = 0. episodes: its own, with their places on the page."""

    stream: Stream
    origin: float
    episodes: list[tuple[int, Episode]]


@dataclass(frozen=True)
class Drawer:
    """Draws lanes. look: each label's class of colour (`css`), by kind; names: of kinds."""

    clock: Clock
    names: Sequence[str]
    look: npt.NDArray[np.int_]

    def picture(self, lanes: Sequence[Lane], begin: float, end: float, title: str) -> str:
        """Lanes under one another, on one axis from `begin` to `end`."""
        scale = _Scale(begin, end)
        parts, y = [], 2.0
        several = len(lanes) > 1
        for lane in lanes:
            if several:
                parts.append(f'<text class="strong" x="{LEFT}" y="{y + 11:g}">{text(lane.stream.name)}</text>')
                y += 16
            rows = (("decided", DECIDED), ("windows", SAID), ("losses", LOSSES))
            at = [y, y + DECIDED + 2, y + DECIDED + SAID + 4]
            for (name, high), top in zip(rows, at, strict=True):
                parts.append(f'<text class="end minor" x="{LEFT - 6}" y="{top + high / 2 + 3:g}">{name}</text>')
                parts.append(_box("track", scale.begin, scale.end, scale, top, high))
            parts.append(self._decided(lane, scale, at[0], DECIDED))
            parts.append(self._said(lane, scale, at[1], SAID, len(lanes) <= TITLED))
            parts.append(self._losses(lane, scale, at[2], LOSSES))
            y = at[2] + LOSSES + (14 if several else 4)
        return _framed(y + 18, title, [_axis(scale, y, self.clock), *parts])

    def hours(self, lane: Lane, begin: float, end: float, title: str) -> str:
        """A row an hour, so that a minute is wide enough to see."""
        parts, y = [], 2.0
        for hour in hours(begin, end):
            scale = _Scale(hour, hour + HOUR_S)
            parts.append(
                f'<text class="end minor" x="{LEFT - 6}" y="{y + 14:g}">{self.clock.mark(hour, HOUR_S)}</text>'
                + _box("track", hour, hour + HOUR_S, scale, y, 22)
                + self._decided(lane, scale, y, 14)
                + self._said(lane, scale, y + 14, 8, False)
                + self._losses(lane, scale, y + 23, 4)
            )
            y += 31
        clock = Clock(False, False)
        return _framed(y + 14, title, [_axis(_Scale(0, HOUR_S), y - 3, clock), *parts])

    def _decided(self, lane: Lane, scale: "_Scale", y: float, high: float) -> str:
        begins, ends, kinds = arrays(lane.stream.decided)
        order = np.argsort(begins, kind="stable")
        begins, ends, kinds = begins[order] + lane.origin, ends[order] + lane.origin, kinds[order]
        # An end is known late, when the next has begun: what began later stands before it.
        ends[:-1] = np.minimum(ends[:-1], begins[1:])
        parts = self._paths(fullest(begins, ends, self.look[kinds], scale.begin, scale.end, COLUMNS), y, high)
        for place, episode in lane.episodes:
            start, stop = episode.begin + lane.origin, episode.end + lane.origin
            if episode.label is None or not scale.holds(start, stop):
                continue
            left, wide = scale.span(start, stop)
            told = f"{episode.label}, {self.clock.at(start)} to {self.clock.at(stop)}, {duration(stop - start)}"
            parts.append(
                f'<a href="#e{place}" tabindex="-1">'
                + _box(self.css(self.names.index(episode.label)), start, stop, scale, y, high, told)
                + (
                    f'<text class="on" x="{left + 4:.1f}" y="{y + high / 2 + 4:g}">{text(episode.label)}</text>'
                    if wide > LETTER * len(episode.label) + 8
                    else ""
                )
                + "</a>"
            )
        return "".join(parts)

    def _said(self, lane: Lane, scale: "_Scale", y: float, high: float, titled: bool) -> str:
        begins, ends, kinds = arrays(lane.stream.bouts)
        look = np.where(kinds == UNKNOWN, UNKNOWN, self.look[kinds])
        columns = fullest(begins + lane.origin, ends + lane.origin, look, scale.begin, scale.end, COLUMNS)
        if not titled:
            return "".join(self._paths(columns, y, high))
        parts = []
        for first, last, kind in runs(columns):
            start, stop = scale.moment(first), scale.moment(last)
            told = f"{self._name(kind)}, {self.clock.at(start)} to {self.clock.at(stop)}"
            parts.append(_box(_css(kind), start, stop, scale, y, high, told))
        return "".join(parts)

    def _losses(self, lane: Lane, scale: "_Scale", y: float, high: float) -> str:
        begins, ends, kinds = arrays(lane.stream.states)
        parts = []
        # What is worst is drawn last, so that nothing hides it.
        for kind in (NOT_WORN, OTHER, SILENT, RESET, LOST):
            some = kinds == kind
            name = STATES[kind].replace("_", " ") if kind < len(STATES) else "another state"
            parts += self._touched(begins[some], ends[some], lane, scale, y, high, f"s{kind}", f"device {name}")
        begins, ends, _ = arrays(lane.stream.gaps)
        parts += self._touched(begins, ends, lane, scale, y, high, "gap", "samples lost")
        return "".join(parts)

    def _touched(
        self, begins: Floats, ends: Floats, lane: Lane, scale: "_Scale", y: float, high: float, css: str, name: str
    ) -> list[str]:
        columns = touched(begins + lane.origin, ends + lane.origin, scale.begin, scale.end, COLUMNS)
        parts = []
        for first, last, _ in runs(columns):
            start, stop = scale.moment(first), scale.moment(last)
            parts.append(_box(css, start, stop, scale, y, high, f"{name}, about {self.clock.at(start)}"))
        return parts

    def _paths(self, columns: Columns, y: float, high: float) -> list[str]:
        """An element a kind, without the times of each run: short, for pictures of many."""
        places: dict[int, list[str]] = {}
        for first, last, kind in runs(columns):
            places.setdefault(kind, []).append(f"M{LEFT + first} {y:g}h{last - first}v{high:g}h{first - last}z")
        return [
            f'<path class="{_css(kind)}" d="{"".join(places[kind])}"><title>{text(self._name(kind))}</title></path>'
            for kind in sorted(places)
        ]

    def css(self, kind: int) -> str:
        """The class that colours a label."""
        return _css(int(self.look[kind]))

    def _name(self, look: int) -> str:
        if look in (UNKNOWN, OTHERS):
            return "unknown" if look == UNKNOWN else "another activity"
        return self.names[int(np.flatnonzero(self.look == look)[0])]


@dataclass(frozen=True)
class _Scale:
    begin: float
    end: float

    def x(self, moment: float) -> float:
        part = (moment - self.begin) / (self.end - self.begin)
        return LEFT + COLUMNS * min(max(part, 0.0), 1.0)

    def span(self, start: float, stop: float) -> tuple[float, float]:
        left, right = self.x(start), self.x(stop)
        return left, max(right - left, LEAST)

    def holds(self, start: float, stop: float) -> bool:
        return start < self.end and stop > self.begin

    def moment(self, column: int) -> float:
        return self.begin + column * (self.end - self.begin) / COLUMNS


def looks(order: Sequence[int]) -> npt.NDArray[np.int_]:
    """Classes of colours of kinds (n,): `order` holds all kinds, the longest first; those after the 24th share one."""
    look = np.full(max(1, len(order)), OTHERS)
    own = sorted(order[:COLOURS])
    look[own] = range(len(own))
    return look


def hue(index: int, count: int) -> str:
    """A colour of `count` that differ, neither light nor dark to the eye (OKLCH), so that it shows on both papers."""
    return f"oklch({(0.56, 0.68)[index % 2]} 0.17 {round(360 * index / max(1, count))})"


def hours(begin: float, end: float) -> list[float]:
    """The full hours that hold some of that time."""
    first = math.floor(begin / HOUR_S)
    return [float(HOUR_S * hour) for hour in range(first, max(first + 1, math.ceil(end / HOUR_S)))]


def _css(look: int) -> str:
    return {UNKNOWN: "unknown", OTHERS: "others"}.get(look, f"a{look}")


def _box(css: str, start: float, stop: float, scale: _Scale, y: float, high: float, told: str = "") -> str:
    left, wide = scale.span(start, stop)
    inside = f"<title>{text(told)}</title>" if told else ""
    return f'<rect class="{css}" x="{left:.1f}" y="{y:g}" width="{wide:.1f}" height="{high:g}">{inside}</rect>'


def _axis(scale: _Scale, bottom: float, clock: Clock) -> str:
    """Marks at round times, over the whole height."""
    span = scale.end - scale.begin
    step = next((step for step in STEPS if span / step <= MARKS), DAY_S * math.ceil(span / DAY_S / MARKS))
    parts = []
    for k in range(math.ceil(scale.begin / step), math.floor(scale.end / step) + 1):
        x = scale.x(k * step)
        parts.append(
            f'<path class="rule" d="M{x:.1f} 0V{bottom + 2:g}"/>'
            f'<text class="middle" x="{x:.1f}" y="{bottom + 13:g}">{clock.mark(k * step, step)}</text>'
        )
    return "".join(parts)


def _framed(height: float, title: str, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" role="img" '
        f'aria-label="{text(title)}">{inside}</svg>'
    )
