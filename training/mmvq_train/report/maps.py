"""Maps of codes against wearers, activities and sub-actions, and charts of where evidence lies, as inline SVG.

In every map a row is a code, with its shape and its number, which leads to the code's card. Up to a few thousand cells
have a tooltip each; of more, rows have one. Colours are CSS classes, as in drawings.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mmvq_train.drawings import (
    LETTER,
    PALEST,
    Floats,
    abridged,
    fmt,
    framed,
    nice_step,
    placed,
    polyline,
    shades,
    thumb_colours,
)

THUMB: Final = 34  # width of a code's shape beside its row
SIDE: Final = THUMB + 28  # and its number, of up to four digits
SHADES: Final = 6  # of a map without tooltips in its cells: more are not told apart


@dataclass(frozen=True)
class Row:
    """A code beside its row: its number, its curves (1, or one an axis of a joint code; 32 points each), and what its
    tooltip says."""

    index: int
    shape: Sequence[Sequence[float]]
    told: str


def cell_map(
    darkness: Floats, rows: Sequence[Row], names: Sequence[str], told: Sequence[Sequence[str]], title: str
) -> Markup:
    """darkness (rows, columns) in 0..1, 0 empty. names: of the columns, upright above them. told: tooltips of
    the cells."""
    cell, top = 15, _header(names)
    parts = [_columns(names, names, cell, top), _rows(rows, cell, top)]
    box = Markup('<rect class="heat" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"><title>{}</title></rect>')
    for i, row in enumerate(darkness):
        for j in np.flatnonzero(row).tolist():
            opacity = fmt(PALEST + (1 - PALEST) * float(row[j]))
            parts.append(box.format(SIDE + cell * j, fmt(top + cell * i), cell - 1, cell - 1, opacity, told[i][j]))
    parts.append(_frame(len(rows), len(names), cell, cell, top))
    return _map(parts, len(rows), len(names), cell, cell, top, title)


def shade_map(
    level: npt.NDArray[np.int_], rows: Sequence[Row], names: Sequence[str], told: Sequence[str],
    framed_cells: Sequence[tuple[int, int]], title: str,
) -> Markup:
    """level (rows, columns) in 0 (empty) .. SHADES. names: of the columns, short; told: their tooltips. framed_cells:
    (row, column) that stand out."""
    wide, high, top = 10, 15, _header(names)
    parts = [
        _columns(names, told, wide, top, "minor"),
        _rows(rows, high, top),
        shades(level, SHADES, SIDE, top, wide, high),
        _frame(len(rows), len(names), wide, high, top),
    ]
    for i, j in framed_cells:
        place = Markup('<rect class="framed" x="{}" y="{}" width="{}" height="{}"/>')
        parts.append(place.format(SIDE + wide * j, fmt(top + high * i), wide, high))
    cover = Markup('<rect class="cover" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    for i, row in enumerate(rows):  # last, so that it is what one points at
        parts.append(cover.format(SIDE, fmt(top + high * i), wide * len(names), high, row.told))
    return _map(parts, len(rows), len(names), wide, high, top, title)


def scale(steps: Sequence[tuple[float, str]], title: str) -> Markup:
    """What a shade means: (opacity, words) from pale to dark, side by side."""
    parts, x = [], 0.0
    for opacity, words in steps:
        box = Markup('<rect class="heat edged" x="{}" y="1" width="13" height="13" fill-opacity="{}"/>')
        parts.append(box.format(fmt(x + 1), fmt(opacity)))
        parts.append(Markup('<text x="{}" y="12">{}</text>').format(fmt(x + 19), words))
        x += 30 + LETTER * len(words)
    return framed(x, 16, title, Markup("").join(parts))


@dataclass(frozen=True)
class Panel:
    """Columns of one length: values (n,) at starts (n,), each `wide`, in seconds; their mean in words, and a tooltip
    each."""

    name: str
    mean: str
    starts: Floats
    wide: float
    values: Floats
    titles: Sequence[str]


def time_columns(panels: Sequence[Panel], seconds: float, title: str) -> Markup:
    """A chart a panel on one time axis, 0..seconds, each on its own scale from 0, with a dashed line at its mean."""
    width, left, right, high, gap = 480, 46, 8, 54, 16
    bottom = (high + gap) * len(panels)

    def across(t: float) -> float:
        return left + t / seconds * (width - left - right)

    parts = []
    step = nice_step(seconds / 5)
    for k in range(int(seconds / step + 1e-6) + 1):
        x = fmt(across(k * step))
        parts.append(Markup('<path class="rule" d="M{} 2V{}"/>').format(x, bottom))
        label = f"{k * step:g}{' s' if k == 0 else ''}"
        parts.append(Markup('<text class="middle" x="{}" y="{}">{}</text>').format(x, bottom + 13, label))
    bar = Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    for i, panel in enumerate(panels):
        floor = (high + gap) * (i + 1)
        tallest = max(float(panel.values.max(initial=0.0)), 1e-9)
        wide = fmt(max(across(panel.wide) - left - 1, 1))
        for t, value, told in zip(panel.starts, panel.values, panel.titles, strict=True):
            tall = high * value / tallest
            parts.append(bar.format(fmt(across(t) + 0.5), fmt(floor - tall), wide, fmt(tall), told))
        mean = fmt(floor - high * float(panel.values.mean()) / tallest)
        parts.append(Markup('<path class="level" d="M{} {}H{}"/>').format(left, mean, width - right))
        parts.append(Markup('<path class="rule" d="M{} {}H{}"/>').format(left, fmt(floor), width - right))
        name = Markup('<text class="{}" x="{}" y="{}">{}</text>')
        parts.append(name.format("end strong", left - 5, fmt(floor - high / 2 - 2), panel.name))
        parts.append(name.format("end minor", left - 5, fmt(floor - high / 2 + 11), panel.mean))
    return framed(width, bottom + 18, title, Markup("").join(parts))


def _header(names: Sequence[str]) -> float:
    return LETTER * max((len(abridged(name)) for name in names), default=1) + 8


def _columns(names: Sequence[str], told: Sequence[str], wide: float, top: float, css: str = "") -> Markup:
    text = Markup('<text class="{}" transform="translate({} {}) rotate(-90)">{}<title>{}</title></text>')
    return Markup("").join(
        text.format(css, fmt(SIDE + wide * (j + 0.5) + 3.5), fmt(top - 4), abridged(name), words)
        for j, (name, words) in enumerate(zip(names, told, strict=True))
    )


def _rows(rows: Sequence[Row], high: float, top: float) -> Markup:
    """Every row's shape and number, as a link to the code's card."""
    parts = []
    link = Markup('<a href="#code-{}"><rect class="cover" x="0" y="{}" width="{}" height="{}"/>{}'
                  '<text class="end" x="{}" y="{}">{}</text><title>{}</title></a>')
    for i, row in enumerate(rows):
        y = top + high * i
        values = [np.asarray(curve, dtype=float)[::2] for curve in row.shape]  # 16 points are plenty so small
        low, tall = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
        tall = tall if tall - low > 1e-9 else low + 1
        lines = Markup("").join(
            polyline(np.linspace(1, THUMB - 1, len(v)), placed(v, low, tall, y + 2, y + high - 3), css)
            for v, css in zip(values, thumb_colours(len(values)), strict=True)
        )
        number = (SIDE - 5, fmt(y + high - 4), row.index)
        parts.append(link.format(row.index, fmt(y), SIDE, high, lines, *number, row.told))
    return Markup("").join(parts)


def _frame(rows: int, columns: int, wide: float, high: float, top: float) -> Markup:
    """A thin line around the map and after every fifth row, to keep the place while looking across."""
    right, bottom = SIDE + wide * columns, top + high * rows
    across = "".join(f"M{SIDE} {fmt(top + high * i - 0.5)}H{fmt(right)}" for i in range(5, rows, 5))
    return Markup('<path class="rule" d="M{} {}H{}V{}H{}z{}"/>').format(
        SIDE - 0.5, fmt(top - 0.5), fmt(right), fmt(bottom), SIDE - 0.5, across
    )


def _map(
    parts: Sequence[Markup], rows: int, columns: int, wide: float, high: float, top: float, title: str
) -> Markup:
    size = (SIDE + wide * columns + 2, top + high * rows + 2)
    return framed(*size, title, Markup("").join(parts), scale=False, role="group")
