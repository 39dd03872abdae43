"""What the live view looks like, as lines for rich. Pure.

    wisdm_watch · connected · 0:02:25
    demo: WISDM person 1625 · 6d6d76712d73696d at 20 Hz · 2026-11-22T10:00:00Z
    x -0.53 g ⠤⠤⠒⠒⠉⠑⠢⣀⡠⠔⠊⠉⠑⠢⣀⡠⠔⠊⠉              the last ten seconds, two lines an axis
    now       stairs for 1:15
    window    125.0-135.0 s
    stairs    ████████████████▌             94 %
    because   wrist swings forward (4.2-6.2 s, +1.9) and shape 17·3·40 (8.0-9.0 s, +0.6)
    ▁▃▆█▇▃ ▂▄▇▅▃▁ █▆▃▁▂▄ wrist swings forward  4.2-5.3 s   │██
    link      20 lost (0.3 %) in the last minute: sequence 20
    before    typing 30 s, sitting 1:05
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from mmvq_bridge.stream.records import printable
from mmvq_run.events import Event
from mmvq_run.explain import Piece
from mmvq_run.sinks.live_state import TRACE_S, Stream, Streams
from mmvq_run.sketch import DOTS_ACROSS, DOTS_UP, bar, braille, signed_bar, sparks, thinned

GUTTER: Final = 10  # cells for what a line is about
ROWS: Final = 2  # of an axis in the sketch
DOTS: Final = ROWS * DOTS_UP
LEAST_SPAN_G: Final = 0.5  # from bottom to top, so that a sensor's noise at rest looks still
SENTENCE: Final = 3  # lines of the reasons in words
PIECES: Final = 5  # lines of them, as many as --explain top tells
DEVICES: Final = 8  # lines of them
WIDEST_BAR: Final = 60  # cells; longer ones tell no more
SHAPE: Final = (3, 16)  # cells of a curve: fewer are no shape, more than one for two of its 32 points tell no more
PULL: Final = 2  # cells of a contribution's bar to each side of zero
FOR_NUMBERS: Final = 80  # cells: on a narrower terminal words need the place of the number beside the bar
AILING: Final = ("silent", "lost", "not_worn")  # states of a device that a person should see to

Line = Sequence[tuple[str, str]]  # texts with their styles
Curves = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Codes:
    """A model's codes as they are drawn, in the order of its metadata: what of a piece each is of (axes, gravity,
    rhythm), and its curves: one, or three of a code that draws all axes."""

    views: Sequence[str]
    shapes: Sequence[Curves]


@dataclass(frozen=True)
class Lines:
    """Lines that rich crops to its width: rich's own texts and tables would cost five times as much to lay out.

    Streams and files give names, never orders: neither control characters nor markup in them are obeyed.
    """

    lines: Sequence[Line]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Segments, as rich wants them."""
        for line in self.lines:
            for text, style in line:
                yield Segment(_harmless(text), Style.parse(style))
            yield Segment.line()


def render(streams: Streams, codes: Codes, width: int, height: int) -> Lines:
    """The view in so many cells: the stream whose event was the last, and a line a wearable where there are several.

    On a low terminal the pieces of `because` give way first. Below a width of 60 lines are cut.
    """
    stream = streams.shown
    named = [device for device in streams.by_device if device is not None]
    rows = [_row(streams, device) for device in named[:DEVICES]] if len(named) > 1 else []
    above = [*_header(stream, width), *rows, *_sketch(stream, width), _now(stream), *_window(stream, width)]
    below = [_link(stream), *_before(stream, width)]
    room = max(1, height - len(above) - len(below))
    return Lines([*above, *_pieces(stream, codes, width)[:room], *below])


def summary(stream: Stream) -> Lines:
    """What stays on the terminal of a stream that ended: how long each activity went on, and what was lost."""
    lines: list[Line] = [[(_title(stream), "bold"), (f" · {_clock(stream.t)}", "")]]
    for label, seconds in sorted(stream.spent.items(), key=lambda spent: -spent[1]):
        lines.append([(f"{_duration(seconds):>{GUTTER - 1}} ", ""), (label, "bold")])
    if stream.end:
        told = "{windows} windows, {lost} samples lost, {bad_frames} bad frames".format(**stream.end)
        lines.append([(told, "dim")])
    return Lines(lines)


def _header(stream: Stream, width: int) -> list[Line]:
    session, device = stream.session or {}, stream.device or {}
    about = [session.get("source"), device.get("uid"), session.get("wall")]
    if device.get("rate_hz"):
        about[1] = f"{device['uid'] or 'a device'} at {device['rate_hz']:g} Hz"
    first = [(f"{_title(stream)} · ", "bold"), _state(stream), (f" · {_clock(stream.t)}", "")]
    return [first, [(_fit(" · ".join(filter(None, about)), width), "dim")]]


def _title(stream: Stream) -> str:
    session = stream.session or {}
    recording = f" [{session['recording']}]" if "recording" in session else ""
    device = f"{session['device']}: " if "device" in session else ""
    return f"{device}{session.get('model', 'no stream yet')}{recording}"


def _row(streams: Streams, device: str) -> Line:
    stream = streams.by_device[device]
    (state, style), share = _state(stream), stream.lost_share()
    return [
        ("▸ " if device == streams.latest else "  ", ""),
        (_fit(device, 14), "bold"),
        (f" {_fit(state, 13)} ", style),
        (_fit(stream.now[0] if stream.now else "", 16), "bold green"),
        ("" if share is None else f" {_percent(share)} lost", "dim"),
    ]


def _sketch(stream: Stream, width: int) -> list[Line]:
    low, high = stream.trace.columns(max(1, width - GUTTER) * DOTS_ACROSS, stream.rate_hz)
    if np.isnan(low).all():
        return [_about("signal", ("none yet", "dim"))]
    bottom, top = np.nanmin(low, axis=0), np.nanmax(high, axis=0)
    middle, span = (bottom + top) / 2, max(LEAST_SPAN_G, float((top - bottom).max()))
    # The middle is a dot, not the crack between two: what rests is a line.
    low, high = ((edge - middle) / span * (DOTS - 2) + DOTS // 2 for edge in (low, high))
    lines = []
    for axis, name in enumerate("xyz"):
        first, *others = braille(low[:, axis], high[:, axis], ROWS)
        lines.append(_about(f"{name} {middle[axis]:+.2f} g", (first, "cyan")))
        lines += [_about("", (row, "cyan")) for row in others]
    return [*lines, _about("", (f"{TRACE_S:g} s wide, {span:.2g} g high", "dim"))]


def _now(stream: Stream) -> Line:
    if stream.now is None:
        return _about("now", ("nothing that lasts", "dim"))
    label, onset = stream.now
    return _about("now", (label, "bold green"), (f" for {_duration(stream.t - onset)}", ""))


def _window(stream: Stream, width: int) -> list[Line]:
    window = stream.window
    if window is None:
        return [_about("window", ("none yet", "dim"))]
    patched = f", {_percent(window['patched'])} patched" if "patched" in window else ""
    unknown = " unknown: unlike anything learnt" if window["unknown"] else ""
    first = (f"{window['start']:.1f}-{window['end']:.1f} s{patched}", "")
    lines = [_about("window", first, (unknown, "bold yellow"))]
    names = max(GUTTER - 1, min(width // 3, max(cell_len(label) for label, _ in window["top"])))
    cells = max(1, min(WIDEST_BAR, width - names - 7))  # two spaces and five cells of the share
    best = "yellow" if unknown else "green"
    for place, (label, share) in enumerate(window["top"]):
        drawn = (bar(share, cells), "dim" if place else best)
        lines.append([(_fit(label, names), "" if place else "bold"), (" ", ""), drawn, (f" {share * 100:3.0f} %", "")])
    lines += _because(_harmless(window.get("in_words", "")), width - GUTTER)
    return lines


def _because(words: str, cells: int) -> list[Line]:
    letters = max(1, cells * len(words) // max(1, cell_len(words)))  # of a line: some scripts take two cells a letter
    sentence = wrap(words, letters, max_lines=SENTENCE, placeholder=" …")
    return [_about("" if place else "because", (text, "")) for place, text in enumerate(sentence)]


def _pieces(stream: Stream, codes: Codes, width: int) -> list[Line]:
    """A line each: its shapes, its sub-action or codes, its time, and what it counted."""
    told = stream.window["because"][:PIECES] if stream.window else []
    pieces = [_piece(entry, codes) for entry in told]
    shapes = [_shapes(piece, codes, width // 3) for piece in pieces]
    spans = [f"{piece.t:.1f}-{piece.t + piece.length:.1f} s" for piece in pieces]
    shape, span = max(map(len, shapes), default=0), max(map(len, spans), default=0)
    counted = [f" {piece.contribution:+.2f}" if width >= FOR_NUMBERS else "" for piece in pieces]
    most = max((abs(piece.contribution) for piece in pieces), default=0.0)
    what = max(1, width - shape - span - (2 * PULL + 1) - max(map(len, counted), default=0) - 3)  # three spaces
    return [
        [
            (f"{drawn:<{shape}} ", "cyan"),
            (_fit(piece.what, what), ""),
            (f" {between:>{span}} ", "dim"),
            (signed_bar(piece.contribution, most, PULL), "green" if piece.contribution >= 0 else "red"),
            (number, ""),
        ]
        for piece, drawn, between, number in zip(pieces, shapes, spans, counted, strict=True)
    ]


def _piece(entry: Event, codes: Codes) -> Piece:
    """From its entry in `because`."""
    return Piece(
        t=entry["t"],
        length=entry["length"],
        codes=tuple(entry["codes"]),
        code_names=tuple(entry["code_names"]),
        sub_action=entry["sub_action"],
        p=entry["p"],
        contribution=entry["contribution"],
        still=entry.get("still", False),
        view=codes.views[entry["codes"][0]],
    )


def _shapes(piece: Piece, codes: Codes, cells: int) -> str:
    """Its codes' curves in about so many cells; none of a still piece, whose shape is noise."""
    curves = [] if piece.still else [curve for code in piece.codes for curve in codes.shapes[code]]
    least, most = SHAPE
    each = min(max((cells + 1) // max(1, len(curves)) - 1, least), most)
    return " ".join(sparks(thinned(curve, each)) for curve in curves)


def _link(stream: Stream) -> Line:
    parts = [(stream.device["state"] + "; ", "bold red")] if stream.device and stream.device["state"] in AILING else []
    lost, share = stream.link.last_minute(stream.t), stream.lost_share()
    if lost:
        of_all = "" if share is None else f" ({_percent(share)})"
        why = ", ".join(f"{reason} {count}" for reason, count in lost.most_common())
        parts.append((f"{lost.total()} lost{of_all} in the last minute: {why}", "yellow"))
    else:
        parts.append(("no sample lost in the last minute", "dim"))
    if stream.link.total > lost.total():
        parts.append((f"; {stream.link.total} in all", "dim"))
    return _about("link", *parts)


def _before(stream: Stream, width: int) -> list[Line]:
    told = ", ".join(f"{label} {_duration(duration)}" for label, _, duration in reversed(stream.past))
    return [_about("before", (_fit(told, max(1, width - GUTTER)), ""))] if told else []


def _about(what: str, *parts: tuple[str, str]) -> Line:
    return [(f"{what:<{GUTTER}}", "dim"), *parts]


def _state(stream: Stream) -> tuple[str, str]:
    """Of its device, with a style."""
    if stream.device is None:
        return "no device yet", "dim"
    state = stream.device["state"]
    return state, "bold red" if state in AILING else "green"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _fit(text: str, cells: int) -> str:
    """Exactly so many cells: filled with spaces, or cut with a sign of it."""
    text = _harmless(text)
    return set_cell_size(text, cells) if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"


def _harmless(text: str) -> str:
    return text if text.isprintable() else printable(text)


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{left:02}"


def _duration(seconds: float) -> str:
    """45 s, 1:05, 2:10:00."""
    return f"{seconds:.0f} s" if seconds < 59.5 else _clock(seconds + 0.5).removeprefix("0:").removeprefix("0")
