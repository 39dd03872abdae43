"""Small drawings as inline SVG: curves, columns, a heat map, a signal with its pieces. Values in, markup out.

Colours are CSS classes (`x`, `y`, `z`, `m`, `soft`, `bar`, `rule`, `heat`, `span`), which the page defines once for
light and dark. Text in a drawing is escaped by Markup.format. SVG says all that the report draws, scales on a phone and
keeps its tooltips, so no plotting package is needed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

Floats = npt.NDArray[np.floating]

MISSING: Final = "–"
NARROW: Final = "\u202f"  # a narrow space that does not break: "78 %" stays on one line
AXES: Final = ("x", "y", "z", "m")  # css classes; m is the magnitude
AXIS_NAMES: Final = ("x", "y", "z", "|a|")
LETTER: Final = 6.2  # mean width of a letter at font size 11, in units of the drawing
BOLD: Final = 7.2  # the same of bold ones
LONGEST_LABEL: Final = 24  # letters of a label beside a heat map; the tooltip has all of it
PALEST: Final = 0.06  # opacity of what counts next to nothing: still a place to point at
LEAST_SPAN_G: Final = 0.1  # a panel shows at least this much, so that sensor noise does not look like movement


@dataclass(frozen=True)
class Span:
    """A piece under a signal: start and length in seconds, strength −1..1 (how dark; under 0 in the other colour),
    title (tooltip)."""

    t: float
    length: float
    strength: float
    title: str


def number(value: float | None, digits: int = 3) -> str:
    """Fixed digits; an en dash where there is nothing to show; powers of ten for what would round to nothing."""
    if value is None or not math.isfinite(value):
        return MISSING
    tiny = 0 < abs(value) < 0.5 * 10**-digits
    text = f"{value:.0e}".replace("e-0", "e-") if tiny else f"{value:.{digits}f}"
    return text.replace("-", "−")


def percent(value: float | None, digits: int = 0) -> str:
    """A share as per cent."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{100 * value:.{digits}f}".replace("-", "−")
    return f"{text}{NARROW}%"


def curves(
    series: Sequence[tuple[Sequence[float], str]], title: str, width: int = 92, height: int = 38,
    within: tuple[float, float] | None = None,
) -> Markup:
    """Curves of (values, css class) over each other on one vertical scale, without axes: the look of a shape. within:
    the scale's ends, by default the curves' own."""
    values = [np.asarray(v, dtype=float) for v, _ in series]
    low, high = _range(values if within is None else [np.array(within)])
    lines = Markup("").join(
        polyline(np.linspace(2, width - 2, len(v)), placed(v, low, high, 3, height - 3), css)
        for v, (_, css) in zip(values, series, strict=True)
    )
    return framed(width, height, title, lines)


def columns(values: Sequence[float], titles: Sequence[str], level: float, title: str) -> Markup:
    """Upright bars from 0, a tooltip each, and a dashed line at `level`."""
    width, height, gap = 480, 96, 1.0
    top = max([level, *values, 1e-9])
    step = width / max(1, len(values))
    bars = Markup("").join(
        Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            fmt(i * step), fmt(height * (1 - v / top)), fmt(max(step - gap, 0.5)), fmt(height * v / top), text
        )
        for i, (v, text) in enumerate(zip(values, titles, strict=True))
    )
    y = fmt(height * (1 - level / top))
    line = Markup('<line class="level" x1="0" x2="{}" y1="{}" y2="{}"/>').format(width, y, y)
    return framed(width, height, title, bars + line)


def heat_map(counts: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> Markup:
    """A confusion matrix, rows (truth) adding up to 100 %; counts are the tooltips. Rows without windows stay empty."""
    cell = 27
    side = LETTER * min(LONGEST_LABEL, max((len(n) for n in labels), default=1)) + 10
    total = side + cell * len(labels) + 4
    parts = []
    for i, label in enumerate(labels):
        at = side + cell * i + cell / 2
        said = abridged(label)
        parts.append(Markup('<text class="end" x="{}" y="{}">{}<title>{}</title></text>').format(
            fmt(side - 6), fmt(at + 4), said, label
        ))
        parts.append(Markup('<text transform="translate({} {}) rotate(-90)">{}<title>{}</title></text>').format(
            fmt(at + 4), fmt(side - 6), said, label
        ))
    for i, row in enumerate(counts):
        whole = sum(row)
        for j, count in enumerate(row):
            share = count / whole if whole else 0.0
            x, y = side + cell * j, side + cell * i
            told = f"{labels[i]} → {labels[j]}: {count} of {whole} ({percent(share, 1)})"
            box = Markup(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"><title>{}</title></rect>'
            )
            parts.append(box.format(
                "heat" if i == j else "heat off", fmt(x), fmt(y), cell - 1, cell - 1, fmt(0.04 + 0.96 * share), told,
            ))
            if share >= 0.005:
                css = "middle on" if share > 0.5 else "middle"
                parts.append(Markup('<text class="{}" x="{}" y="{}">{:.0f}</text>').format(
                    css, fmt(x + cell / 2 - 0.5), fmt(y + cell / 2 + 3.5), 100 * share
                ))
    return framed(total, total, title, Markup("").join(parts), scale=False)


def similarity(gram: Floats, names: Sequence[str], title: str, told: Sequence[str] = ()) -> Markup:
    """A Gram matrix (n, n) of cosines: the darker, the more alike; opposite (under 0) in the other colour.

    names: beside the rows. told: what a row's tooltips call it, where that is not its name.
    """
    cell = 15
    side = LETTER * max((len(n) for n in names), default=1) + 10
    total = side + cell * len(names)
    parts = []
    told = told or names
    for i, row in enumerate(gram):
        y = cell * i
        name = Markup('<text class="end" x="{}" y="{}">{}</text>')
        parts.append(name.format(fmt(side - 6), fmt(y + 11.5), names[i]))
        for j, value in enumerate(row):
            box = Markup(
                '<rect class="{}" x="{}" y="{}" width="14" height="14" fill-opacity="{}"><title>{}</title></rect>'
            )
            parts.append(box.format(
                "heat" if value >= 0 else "heat off", fmt(side + cell * j), fmt(y), fmt(min(1.0, abs(float(value)))),
                f"{told[i]} · {told[j]}: {number(float(value), 2)}",
            ))
    return framed(total, cell * len(names), title, Markup("").join(parts), scale=False)


def texture(gram: Floats, groups: Sequence[tuple[str, int]], title: str) -> Markup:
    """A Gram matrix too large for tooltips: (n, n) cosines in a few shades, rows in groups of (name, size)."""
    cell, levels = 3, 9
    side = LETTER * max((len(name) for name, _ in groups), default=1) + 10
    parts = [shades(np.clip(np.asarray(gram) * levels, 0, levels).astype(int), levels, side, 0, cell, cell)]
    at = 0
    for name, count in groups:
        y = cell * (at + count / 2)
        parts.append(Markup('<text class="end" x="{}" y="{}">{}</text>').format(fmt(side - 6), fmt(y + 4), name))
        at += count
        line = Markup('<path class="rule" d="M{} {}H{}M{} 0V{}"/>')
        across = cell * len(gram)
        parts.append(line.format(fmt(side), cell * at, fmt(side + across), fmt(side + cell * at), across))
    return framed(side + cell * len(gram), cell * len(gram), title, Markup("").join(parts), scale=False)


def shades(level: npt.NDArray[np.int_], levels: int, x: float, y: float, wide: float, high: float) -> Markup:
    """Cells too many for an element each: level (rows, columns) in 0 (nothing drawn) .. levels (full), the first cell's
    corner at x, y. One path a level, equal neighbours of a row joined."""
    paths: dict[int, list[str]] = {}
    for i, row in enumerate(level):
        edges = np.flatnonzero(np.diff(row)) + 1
        for begin, end in zip([0, *edges], [*edges, len(row)], strict=True):
            if row[begin]:
                across = fmt(wide * (end - begin))
                place = f"M{fmt(x + wide * begin)} {fmt(y + high * i)}h{across}v{fmt(high)}h-{across}z"
                paths.setdefault(int(row[begin]), []).append(place)
    return Markup("").join(
        Markup('<path class="heat" fill-opacity="{}" d="{}"/>').format(fmt(k / levels), "".join(paths[k]))
        for k in sorted(paths)
    )


def scatter(points: Floats, groups: Sequence[int], titles: Sequence[str], names: Sequence[str], title: str) -> Markup:
    """Points (n, 2) in the colours of their groups, each group's name at its middle; group −1 is hollow and unnamed."""
    width, height, edge = 340, 280, 14
    low, high = points.min(axis=0), points.max(axis=0)
    xy = edge + (points - low) / np.maximum(high - low, 1e-9) * (np.array([width, height]) - 2 * edge)
    parts = []
    for (x, y), group, text in zip(xy, groups, titles, strict=True):
        look = Markup('class="hollow"') if group < 0 else Markup('style="fill:{}"').format(hue(group, len(names)))
        dot = Markup('<circle cx="{}" cy="{}" r="3.2" {}><title>{}</title></circle>')
        parts.append(dot.format(fmt(x), fmt(y), look, text))
    own = np.asarray(groups)
    places = [(*np.median(xy[own == g], axis=0), g) for g in range(len(names)) if (own == g).any()]
    taken: list[tuple[float, float, float]] = []  # x, y, half the width of names that stand already
    for x, y, group in sorted(places, key=lambda place: place[1]):
        half = BOLD * len(names[group]) / 2
        x = min(max(x, half), width - half)
        while any(abs(y - v) < 12 and abs(x - u) < half + h for u, v, h in taken):
            y += 2.0
        taken.append((x, y, half))
        name = Markup('<text class="middle name" style="fill:{}" x="{}" y="{}">{}</text>')
        parts.append(name.format(hue(group, len(names)), fmt(x), fmt(y + 4), names[group]))
    bottom = max([height, *(v + 8 for _, v, _ in taken)])
    return framed(width, bottom, title, Markup("").join(parts))


def hue(index: int, count: int) -> str:
    """A colour of `count` that differ, neither light nor dark to the eye (OKLCH), so that it shows on both papers."""
    return f"oklch({(0.56, 0.68)[index % 2]} 0.17 {round(360 * index / max(1, count))})"


def progress(points: Sequence[tuple[float, float]], title: str) -> Markup:
    """One quantity over training, with its largest and smallest value and the last step written beside."""
    width, height, left, right, bottom = 220, 92, 44, 6, 16
    x, y = (np.array([p[i] for p in points], dtype=float) for i in (0, 1))
    low, high = _range([y])
    across = left + (x - x[0]) / max(x[-1] - x[0], 1e-9) * (width - left - right)
    down = placed(y, low, high, 8, height - bottom - 4)
    digits = 2 if high - low >= 0.1 else 4
    marks = [
        Markup('<text class="end" x="{}" y="{}">{}</text>').format(left - 5, fmt(at), number(value, digits))
        for at, value in ((12, float(y.max())), (height - bottom, float(y.min())))
    ]
    frame = Markup('<path class="rule" d="M{} 4V{}H{}"/>').format(left, height - bottom, width - right)
    ends = Markup('<text x="{}" y="{}">{:.0f}</text><text class="end" x="{}" y="{}">{:.0f}</text>').format(
        left, height - 3, x[0], width - right, height - 3, x[-1]
    )
    if len(points) == 1:
        line = Markup('<circle class="dot" cx="{}" cy="{}" r="2.5"/>').format(fmt(across[0]), fmt(down[0]))
    else:
        line = polyline(across, down, "x")
    return framed(width, height, title, frame + Markup("").join(marks) + ends + line)


def trends(
    series: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], title: str, within: tuple[float, float]
) -> Markup:
    """Lines of (name, colour, points (x, y)) in one frame, the names beside it in the order in which the lines end.
    within: the ends of the upright scale."""
    width, height, left, bottom = 300, 150, 30, 16
    right = left + width - 40
    xs = sorted({x for *_, points in series for x, _ in points})
    span = max(xs[-1] - xs[0], 1e-9)
    frame = [Markup('<path class="rule" d="M{} 4V{}H{}"/>').format(left, height - bottom, right)]
    for value, at in ((within[1], 4.0), (within[0], height - bottom)):
        end = Markup('<text class="end" x="{}" y="{}">{}</text>')
        frame.append(end.format(left - 5, fmt(at + 4), number(value, 1)))
    for x in (xs[0], xs[-1]):
        at = left + (x - xs[0]) / span * (right - left)
        frame.append(Markup('<text class="middle" x="{}" y="{}">{:g}</text>').format(fmt(at), height - 3, x))
    lowest = 0.0  # of the names that stand already
    for name, colour, points in sorted(series, key=lambda one: -one[2][-1][1]):
        across = left + (np.array([x for x, _ in points]) - xs[0]) / span * (right - left)
        down = placed(np.array([y for _, y in points]), *within, 4, height - bottom)
        line = " ".join(f"{fmt(a)},{fmt(b)}" for a, b in zip(across, down, strict=True))
        frame.append(Markup('<polyline style="stroke:{}" points="{}"><title>{}</title></polyline>').format(
            colour, line, f"{name}: " + ", ".join(f"{x:g} → {number(y)}" for x, y in points)
        ))
        lowest = max(float(down[-1]) + 4, lowest + 13)
        frame.append(Markup('<text style="fill:{}" x="{}" y="{}">{}</text>').format(
            colour, fmt(right + 6), fmt(lowest), abridged(name)
        ))
    longest = max(len(name) for name, *_ in series)
    return framed(right + 12 + LETTER * longest, max(height, lowest + 4), title, Markup("").join(frame), scale=False)


def signal_panels(
    signal: Floats, rebuilt: Floats, rate_hz: float, rows: Sequence[tuple[str, Sequence[Span]]], title: str
) -> Markup:
    """One panel an axis, all of one height in g: (window, 3) in g as a wide pale line, `rebuilt` (same) as a thin one;
    below on the same time axis rows of spans, each row with its name."""
    width, left, right, panel, row = 420, 46, 8, 62, 13
    seconds = len(signal) / rate_hz
    count = signal.shape[1]
    bottom = panel * count + row * len(rows) + 4

    def across(t: float) -> float:
        return left + t / seconds * (width - left - right)

    parts = []
    step = nice_step(seconds / 5)
    for k in range(math.floor(seconds / step + 1e-6) + 1):
        x = fmt(across(k * step))
        parts.append(Markup('<path class="rule" d="M{} 2V{}"/>').format(x, bottom))
        parts.append(Markup('<text class="middle" x="{}" y="{}">{:g}{}</text>').format(
            x, bottom + 13, k * step, " s" if k == 0 else ""
        ))
    ranges = [_range([signal[:, a], rebuilt[:, a]]) for a in range(count)]
    height_g = max(LEAST_SPAN_G, *(1.05 * (high - low) for low, high in ranges))
    times = np.array([across((i + 0.5) / rate_hz) for i in range(len(signal))])
    for a in range(count):
        middle = sum(ranges[a]) / 2
        low, high = middle - height_g / 2, middle + height_g / 2
        begin, end = panel * a + 4, panel * (a + 1) - 2
        tick = nice_step(height_g / 2.5)
        for k in range(math.ceil(low / tick), math.floor(high / tick) + 1):
            y = float(placed(np.array([k * tick]), low, high, begin, end)[0])
            if begin + 5 <= y <= end - 3:
                parts.append(Markup('<path class="rule" d="M{} {}H{}"/>').format(left, fmt(y), width - right))
                parts.append(Markup('<text class="end" x="{}" y="{}">{}</text>').format(
                    left - 4, fmt(y + 3.5), f"{k * tick:g}".replace("-", "−")
                ))
        parts.append(polyline(times, placed(signal[:, a], low, high, begin, end), f"{AXES[a]} pale"))
        parts.append(polyline(times, placed(rebuilt[:, a], low, high, begin, end), AXES[a]))
        parts.append(Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
            f"axis {AXES[a]}", 2, begin + 8, AXIS_NAMES[a]
        ))
    for i, (name, spans) in enumerate(rows):
        y = panel * count + row * i + 3
        parts.append(Markup('<text class="end" x="{}" y="{}">{}</text>').format(left - 4, y + 9, name))
        for span in spans:
            box = Markup(
                '<rect class="{}" rx="2" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"><title>{}</title>'
                "</rect>"
            )
            parts.append(box.format(
                "span" if span.strength >= 0 else "span off", fmt(across(span.t)), y,
                fmt(across(span.length) - left - 1), row - 3, fmt(PALEST + (1 - PALEST) * abs(span.strength)),
                span.title,
            ))
    return framed(width, bottom + 18, title, Markup("").join(parts))


def thumb_colours(curves: int) -> Sequence[str]:
    """CSS classes of a code's curves: one is of any axis, several are of the axes."""
    return ("shape",) if curves == 1 else AXES[:curves]


def abridged(label: str) -> str:
    """A label short enough to stand beside a map."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def framed(width: float, height: float, title: str, inside: Markup, scale: bool = True, role: str = "img") -> Markup:
    """An svg of that natural size around `inside`. Where it may shrink (scale), the page's CSS bounds it by what is
    around it. role: "group" where links inside are to be reached."""
    outer = Markup('<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" role="{}" aria-label="{}">{}</svg>')
    return outer.format(
        "scaled" if scale else "fixed", fmt(width), fmt(height), fmt(width), fmt(height), role, title, inside
    )


def polyline(x: Floats, y: Floats, css: str) -> Markup:
    """A line through the finite ones of the points (n,), (n,)."""
    points = " ".join(f"{fmt(a)},{fmt(b)}" for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b))
    return Markup('<polyline class="{}" points="{}"/>').format(css, points)


def placed(values: Floats, low: float, high: float, top: float, bottom: float) -> Floats:
    """Where values lie on an upright scale: low at `bottom`, high at `top`."""
    return bottom - (np.asarray(values, dtype=float) - low) / (high - low) * (bottom - top)


def _range(values: Sequence[Floats]) -> tuple[float, float]:
    joined = np.concatenate(values)
    finite = joined[np.isfinite(joined)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)


def fmt(value: float) -> str:
    """A coordinate or an opacity in few letters: a tenth of a unit is less than a pixel."""
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 else f"{value:.2g}"
