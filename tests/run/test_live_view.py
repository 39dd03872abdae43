"""The live view: what a person sees of a stream, at any width of the terminal."""

import io
import re

import numpy as np
import pytest
import tiny_model
from rich.cells import cell_len
from rich.console import Console
from wearing import RATE, SECOND, frames, hello, lost, of, play, records, signal

from mmvq_bridge.stream.records import END, Kind, Record
from mmvq_run.model import Model
from mmvq_run.sinks.live_render import Codes, render, summary
from mmvq_run.sinks.live_state import Streams
from mmvq_run.sketch import sparks, thinned

RISING = [float(k) for k in range(32)]
CODES = Codes(("axes", "axes", "gravity"), ([RISING], [RISING[::-1]], [RISING]))  # of the tiny model
WALK = signal(("sitting", 20), ("walking", 25))


@pytest.fixture(scope="module")
def worn(model):
    """The events of 20 s of sitting and 25 s of walking."""
    return play(model, records([hello(), *frames(WALK)]))


def after(events, xyz=WALK):
    """What the view knows after events, and the samples up to the last of them."""
    streams = Streams()
    for event in events:
        streams.take(event)
    t = np.arange(len(xyz)) / RATE
    streams.see(t[t < events[-1]["t"]], xyz[t < events[-1]["t"]], events[-1].get("device"))
    return streams


def until(events, t):
    return [event for event in events if event["t"] <= t]


def shown(drawn, width=60):
    """Lines on a terminal without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    console.print(drawn)
    return console.file.getvalue().splitlines()


def view(events, width=60, height=24, codes=CODES, xyz=WALK):
    return shown(render(after(events, xyz), codes, width, height), width)


def line(lines, start):
    (found,) = [line for line in lines if line.startswith(start)]
    return found.split(maxsplit=1)[1].rstrip()


@pytest.mark.parametrize("width", [60, 120])
def test_a_terminal_of_any_width_shows_source_signal_activity_and_reasons(worn, width):
    lines = view(until(worn, 44.9), width)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 24
    assert lines[0].rstrip() == "tiny · connected · 0:00:44"
    assert lines[1].startswith("test · 0000000000000abc at 20 Hz · 2026-11-22T10:00:00Z"[: width - 1])
    assert line(lines, "now").startswith("walking for ")
    assert line(lines, "window") == "34.0-44.0 s"
    assert re.fullmatch(r"█+.? +[5-9]\d %", line(lines, "walking"))
    assert line(lines, "because").startswith("shape 1·1·1 (34.0-44.0 s, +")
    assert sum("shape 1·1·1 " in drawn and "│" in drawn for drawn in lines) == 5
    assert line(lines, "link") == "no sample lost in the last minute"
    assert line(lines, "before").startswith("sitting ")


def test_a_wide_terminal_is_used(worn):
    for width in (60, 120):
        rows = [drawn for drawn in view(until(worn, 44.9), width) if re.search("[⠀-⣿]", drawn)]
        assert len(rows) == 6
        assert {cell_len(row) for row in rows} == {width}


def test_before_the_first_sample_there_is_nothing_to_see_and_no_error():
    assert any("no device yet" in drawn for drawn in shown(render(Streams(), CODES, 60, 24)))


def test_a_low_terminal_gives_up_pieces_first(worn):
    lines = view(until(worn, 44.9), height=19)
    assert len(lines) == 19
    assert sum("│" in drawn for drawn in lines) < 5
    assert line(lines, "link") and line(lines, "before")


def test_a_piece_is_drawn_with_the_shapes_of_its_codes(worn):
    (piece, *_) = [drawn for drawn in view(until(worn, 44.9), 120) if "│" in drawn]
    falling = sparks(thinned(RISING[::-1], 12))
    assert piece.startswith(f"{falling} {falling} {falling} shape 1·1·1 ")
    assert re.search(r"\d\.0-\d+\.0 s   │██ \+\d\.\d\d$", piece)


def test_a_piece_in_which_nothing_moves_has_no_shape(worn):
    window = of(worn, "window")[-1]
    still = window | {"because": [piece | {"still": True} for piece in window["because"]]}
    pieces = [drawn for drawn in view([*worn[:2], still], 120) if "│" in drawn]
    assert len(pieces) == 5 and all(piece.startswith(" hand nearly still") for piece in pieces)


def test_what_speaks_against_the_label_points_to_the_left(worn):
    window = of(worn, "window")[-1]
    first, *others = window["because"]
    against = window | {"because": [first, others[0] | {"contribution": -first["contribution"]}]}
    bars = re.findall("[▐█ ]{2}│[█▌ ]{2}", "\n".join(view([*worn[:2], against])))
    assert bars == ["  │██", "██│  "]


def test_without_explanations_there_are_no_pieces(model):
    events = play(model, records([hello(), *frames(WALK)]), explain="none")
    lines = view(until(events, 44.9))
    assert line(lines, "walking").endswith("%")
    assert not any("because" in drawn or "│" in drawn for drawn in lines)


def test_what_is_unknown_is_called_so(model):
    shaken = np.where(np.arange(300)[:, None] % 2, 7.9, -7.9) * np.ones(3)  # g
    lines = view(play(model, records([hello(), *frames(shaken)]))[:-1], xyz=shaken)
    assert "unknown: unlike anything learnt" in line(lines, "window")
    assert line(lines, "now") == "nothing that lasts"


def test_activities_that_are_over_are_told_the_latest_first(worn):
    lines = view(worn[:-1])
    assert re.fullmatch(r"walking \d+ s, sitting \d+ s", line(lines, "before"))
    assert line(lines, "now") == "nothing that lasts"


def test_lost_samples_are_told_by_their_reason_for_a_minute(model):
    pieces = frames(signal(("walking", 120)))
    events = play(model, records([hello(), *pieces[:50], *pieces[60:]]))
    assert line(view(until(events, 30.0)), "link") == "100 lost (16.7 %) in the last minute: sequence 100"
    assert line(view(until(events, 80.0)), "link").startswith("100 lost (8.3 %) ")
    assert line(view(until(events, 100.0)), "link") == "no sample lost in the last minute; 100 in all"


def test_a_silent_or_lost_device_is_said_to_be(model):
    told = records([hello(), *frames(WALK)[:30]])
    late = Record(told[-2].host_ns + 4 * SECOND, Kind.BYTES, frames(WALK)[30])
    silent = play(model, [*told[:-1], late, Record(late.host_ns + 1, Kind.CLOSED, END)])
    states = [of(silent, "device")[k]["state"] for k in (1, 2)]
    assert states == ["silent", "connected"]
    before = silent[: silent.index(of(silent, "device")[1]) + 1]
    assert view(before)[0].startswith("tiny · silent · ") and line(view(before), "link").startswith("silent; ")
    assert view(silent)[0].startswith("tiny · connected · ")
    away = play(model, [*told[:-1], lost(told[-2].host_ns + 1)])
    assert line(view(away), "link").startswith("lost; ")


def test_of_several_wearables_each_has_a_line_and_the_last_that_spoke_the_details(worn):
    left, right = ([event | {"device": name} for event in worn] for name in ("left", "right"))
    lines = view([*until(left, 15), *until(right, 44.9)])
    rows = {drawn[2:].split()[0]: drawn for drawn in lines if drawn[2:].startswith(("left ", "right "))}
    assert rows["left"].startswith("  ") and "sitting" in rows["left"]
    assert rows["right"].startswith("▸ ") and "walking" in rows["right"] and "0.0 % lost" in rows["right"]
    assert lines[0].startswith("right: tiny · connected") and line(lines, "now").startswith("walking")
    assert max(map(cell_len, lines)) <= 60
    assert view([*until(right, 44.9), *until(left, 15)])[0].startswith("left: tiny")


def test_each_recording_of_a_file_begins_afresh(worn):
    first, second = ([event | {"recording": number} for event in worn] for number in (1, 2))
    lines = view([*first, *second[:2]])
    assert lines[0].startswith("tiny [2] · connected · 0:00:0")
    assert line(lines, "window") == "none yet"


def test_no_name_gives_orders_to_the_terminal(tmp_path):
    names = ["[bold red]sitting[/bold red]", ":warning: walking", "走る" * 20]
    path = tmp_path / "hostile.onnx"
    path.write_bytes(tiny_model.build(tiny_model.metadata(labels=names, sub_actions=["[/]", "[link=x]y"])))
    events = play(Model(path), records([hello(), *frames(WALK)]))
    events[0] |= {"source": "\x1b]0;title\x07\x1b[2J\r\nport\x9b2J"}
    events[1] |= {"uid": "\x1b[31mabc\u202e"}
    for width in (60, 120):
        lines = view(until(events, 44.9), width)
        assert not any(letter in "".join(lines) for letter in "\x1b\x07\r\x9b\u202e")
        assert max(map(cell_len, lines)) <= width
        assert any(drawn.startswith("[bold red]sitting[/"[: width // 3 - 1]) for drawn in lines)
        assert line(lines, ":warning: walking").endswith("%")
        assert lines[1].startswith("?]0;title??[2J??port?2J · ?[31mabc? at 20 Hz")


def test_control_characters_in_any_text_of_an_event_are_shown_as_question_marks(worn):
    def poisoned(value):
        if isinstance(value, str):
            return f"\x1b[2J{value}\n"
        if isinstance(value, list):
            return [poisoned(entry) for entry in value]
        return {key: poisoned(entry) for key, entry in value.items()} if isinstance(value, dict) else value

    def hostile(event):
        kept = {key: event[key] for key in ("type", "phase") if key in event}
        return poisoned(event | {"device": "left"}) | kept

    events = [hostile(event) for event in worn]
    drawn = render(after(until(events, 44.9)), CODES, 100, 24), summary(after(events).shown)
    for lines in map(shown, drawn):
        assert "?[2J" in lines[0]
        assert "\x1b" not in "".join(lines)


def test_the_summary_tells_how_long_each_activity_went_on_and_what_was_lost(worn):
    lines = shown(summary(after(worn).shown))
    assert lines[0] == "tiny · 0:00:45"
    assert [drawn.split()[-1] for drawn in lines[1:-1]] == ["sitting", "walking"]
    assert lines[-1] == "36 windows, 0 samples lost, 0 bad frames"
