"""Pictures of a file's quality as inline SVG: days, still points on the sphere, gravity at rest. Pure.

    2026-11-22   ▁▂▁▇▅▁▁▂▂▁▁▁▁▁▁▁     movement, a minute a column
                 ▇▇▇▇▇▇▇▇░░░░░▒▒▇     worn, not worn, missing
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np

from mmvq_bridge.quality.calibration import SIDE_G
from mmvq_bridge.quality.figures import Quality
from mmvq_bridge.quality.timing import MINUTE_S
from mmvq_bridge.quality.wearing import Stretch, Wearing

WIDTH: Final = 1100  # what a desk's page is wide
LEFT: Final = 84  # of the rows: their names stand before
HIGH: Final = 34  # movement
BAND: Final = 8  # worn or not
STEP: Final = 54  # from row to row
DAY_S: Final = 86_400
ROWS_S: Final = (720, 3600, 21_600, DAY_S)  # a row is as short as the longest recording allows
MARKS: Final = 12  # spaces between times below
ROWS: Final = 31  # drawn; the figures are of all
TOP: Final = 0.99  # of the minutes are not higher than a row
SIDE: Final = 240  # of a picture of the sphere
MARGIN: Final = 1.15  # of the points, or of the circle
BARS: Final = 560  # width of the histogram


@dataclass(frozen=True)
class _Row:
    """`seconds` of a recording's time from `begin` on, which may lie before its first sample."""

    name: str
    wearing: Wearing
    begin: float
    seconds: float

    def x(self, t: float) -> float:
        return LEFT + (WIDTH - LEFT) * min(1.0, max(0.0, (t - self.begin) / self.seconds))

    def holds(self, stretch: Stretch) -> bool:
        return stretch[0] < self.begin + self.seconds and stretch[1] > self.begin


def days(quality: Quality) -> str:
    """Movement and wear, a row a day by the device's clock, or from the first sample where it has none."""
    rows = list(_rows(quality))
    every = [mg for one in quality.wearing for mg in one.enmo_mg if mg is not None]
    top = max(1.0, float(np.quantile(every, TOP, method="higher"))) if every else 1.0
    drawn = [_drawn(row, top, 4 + STEP * number) for number, row in enumerate(rows[:ROWS])]
    bottom = 4 + STEP * len(drawn)
    words = f"Full height is {top:.0f} mg of movement; {TOP:.0%} of the minutes are not higher."
    if len(rows) > ROWS:
        words += f" Drawn are {ROWS} of {len(rows)} rows; the figures are of all."
    drawing = _framed(WIDTH, bottom + 18, "Movement and wear", [_times(rows[0].seconds, bottom), *drawn])
    return f'<div class="scroll">{drawing}</div><p class="quiet">{words}</p>'


def sphere(quality: Quality) -> str:
    """Still points from three sides, as measured and as calibrated, with the circle that 1 g makes."""
    return "".join(_side(quality, *axes) for axes in ((0, 1), (0, 2), (1, 2)))


def histogram(quality: Quality) -> str:
    """How many still windows measure which |a|."""
    rest = quality.rest
    low, high = rest.norm
    kinds = {"before": rest.before} | ({"after": rest.after} if quality.calibration.applies else {})
    top = max(1, *rest.before, *rest.after)
    parts = []
    for g in sorted({low, 1.0, high}):
        x = BARS * (g - low) / (high - low)
        parts.append(f'<path class="rule" d="M{x:.1f} 18V144"/>{_text("middle", x, 156, f"{g:.2f} g")}')
    for css, counts in kinds.items():
        steps = "".join(f"V{140 - 120 * count / top:.1f}h{BARS / len(counts):g}" for count in counts)
        parts.append(f'<path class="{css} area" d="M0 140{steps}V140z"/>')
    parts.append(_text("minor", 0, 12, f"{top} windows at full height"))
    return _framed(BARS, 162, "Gravity at rest", parts)


def _rows(quality: Quality) -> Iterator[_Row]:
    longest = max(one.seconds for one in quality.wearing)
    seconds = next((seconds for seconds in ROWS_S if longest <= seconds), DAY_S)
    alone = len(quality.wearing) == 1
    clock_s = quality.clock_s if alone and seconds == DAY_S else None  # of the first recording; it dates days only
    for one in quality.wearing:
        own = "" if alone else f"{one.recording} {one.subject}".strip()
        begin, number = -((clock_s or 0.0) % DAY_S), 1
        while begin < one.seconds or number == 1:
            day = f"day {number}" if clock_s is None else _date(clock_s + begin)
            yield _Row(f"{own} {day}" if seconds == DAY_S else own, one, begin, seconds)
            begin, number = begin + seconds, number + 1


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(round(moment), UTC):%Y-%m-%d}"


def _drawn(row: _Row, top: float, y: float) -> str:
    one, floor = row.wearing, y + HIGH
    edges = [min(MINUTE_S * minute, one.seconds) for minute in range(len(one.enmo_mg) + 1)]
    minutes = [
        (begin, end, mg)
        for (begin, end), mg in zip(pairwise(edges), one.enmo_mg, strict=True)
        if row.holds((begin, end))
    ]
    steps, height = [], 0
    for begin, _, mg in minutes:
        now = round(HIGH * min(1.0, (mg or 0.0) / top))
        if now != height:  # a night of the same is one step
            steps.append(f"H{row.x(begin):.1f}V{floor - now:g}")
            height = now
    area = f"M{LEFT} {floor:g}{''.join(steps)}H{row.x(one.seconds):.1f}V{floor:g}z"
    missing = [(begin, end) for begin, end, mg in minutes if mg is None]
    return (
        f'{_text("minor", 0, floor, row.name)}<path class="bar" d="{area}"/>'
        + _band("worn", row, [(0.0, one.seconds)] if one.knowable else [], floor + 2)
        + _band("away", row, one.not_worn, floor + 2)
        + _band("gap", row, missing, floor + 2)
    )


def _band(css: str, row: _Row, stretches: Sequence[Stretch], y: float) -> str:
    places = "".join(
        f"M{row.x(begin):.1f} {y:g}H{row.x(end):.1f}v{BAND}H{row.x(begin):.1f}z"
        for begin, end in stretches
        if row.holds((begin, end))
    )
    return f'<path class="{css}" d="{places}"/>' if places else ""


def _times(seconds: float, bottom: float) -> str:
    """Marks below, over the whole height: hours of a day, else minutes from the first sample."""
    parts = []
    for number in range(MARKS + 1):
        t = seconds * number / MARKS
        x = LEFT + (WIDTH - LEFT) * number / MARKS
        parts.append(
            f'<path class="rule" d="M{x:.1f} 0V{bottom}"/>'
            + _text("end" if number == MARKS else "middle", x, bottom + 12, f"{t // 3600:.0f}:{t // 60 % 60:02.0f}")
        )
    return "".join(parts)


def _side(quality: Quality, across: int, up: int) -> str:
    points = np.array(quality.rest.points).reshape(-1, 3)
    kinds = {"before": points}
    if quality.calibration.applies:
        kinds["after"] = points * quality.calibration.gain + quality.calibration.offset
    half = SIDE / 2
    reach = MARGIN * max(1.0, *(float(np.abs(some).max(initial=0.0)) for some in kinds.values()))
    unit = half / reach
    names = "xyz"[across], "xyz"[up]
    side = SIDE_G * unit
    parts = [
        f'<circle class="circle" cx="{half:g}" cy="{half:g}" r="{unit:.1f}"/>',
        f'<path class="rule" d="M{half - side:.1f} 0v{SIDE}M{half + side:.1f} 0v{SIDE}'
        f'M0 {half - side:.1f}h{SIDE}M0 {half + side:.1f}h{SIDE}"/>',
    ]
    for css, some in kinds.items():
        dots = "".join(f"M{half + unit * p[across]:.1f} {half - unit * p[up]:.1f}h0" for p in some)
        parts.append(f'<path class="{css} dots" d="{dots}"/>')
    parts += [_text("end", SIDE - 2, half - 4, names[0]), _text("middle", half + 8, 11, names[1])]
    return _framed(SIDE, SIDE, f"Still points, {names[0]} and {names[1]}", parts)


def _text(css: str, x: float, y: float, words: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:g}">{escape(words)}</text>'


def _framed(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
