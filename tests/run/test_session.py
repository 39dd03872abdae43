import json

import numpy as np
import pytest
from wearing import RATE, SECOND, frames, hello, lost, of, play, records, signal

from mmvq_bridge.frames import Stat, encode
from mmvq_bridge.stream.records import Kind, Opening, Record, opened
from mmvq_run.events import as_json
from mmvq_run.judge import Rule, Rules
from mmvq_run.pipeline import Options, answered
from mmvq_run.session import Session

WALK = signal(("sitting", 20), ("walking", 25))


def as_lines(events):
    return [as_json(event) for event in events]


def test_the_first_event_is_the_session_and_the_last_the_end(model):
    events = play(model, records([hello(), *frames(WALK)]))
    assert events[0] == {
        "v": 1, "type": "session", "t": 0.0, "wall": "2026-11-22T10:00:00Z", "model": "tiny", "source": "test",
    }  # fmt: skip
    assert events[1] == {
        "v": 1, "type": "device", "t": 0.0, "state": "connected", "uid": "0000000000000abc", "rate_hz": 20.0,
    }  # fmt: skip
    assert events[-1] == {"v": 1, "type": "end", "t": 45.0, "windows": 36, "lost": 0, "bad_frames": 0}


def test_windows_and_activities_follow_what_is_worn(model):
    events = play(model, records([hello(), *frames(WALK)]))
    labels = {w["start"]: w["label"] for w in of(events, "window")}
    assert labels[0.0] == labels[10.0] == "sitting"
    assert labels[20.0] == labels[35.0] == "walking"
    acts = [(a["phase"], a["label"]) for a in of(events, "activity")]
    assert acts == [("start", "sitting"), ("end", "sitting"), ("start", "walking"), ("end", "walking")]
    ends = [a for a in of(events, "activity") if a["phase"] == "end"]
    assert all(a["duration"] == pytest.approx(a["t"] - a["onset"]) for a in ends)


def test_time_never_runs_backwards_in_what_is_told(model):
    pieces = frames(WALK)
    events = play(model, records([hello(), *pieces[:20], *pieces[21:40], *pieces[60:]]))
    assert of(events, "gap")
    t = [event["t"] for event in events]
    assert t == sorted(t)


def test_however_the_bytes_are_cut_up_the_events_are_the_same(model):
    stream = b"".join([hello(), *frames(WALK)])
    whole = as_lines(play(model, records([stream])))
    rng = np.random.default_rng(0)
    for size in (1, 7, 64):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert as_lines(play(model, records(pieces, step_ns=1))) == whole
    cuts = np.sort(rng.integers(1, len(stream), 50))
    pieces = [bytes(piece) for piece in np.split(np.frombuffer(stream, np.uint8), cuts)]
    assert as_lines(play(model, records(pieces, step_ns=1))) == whole


def test_every_number_has_four_decimals_at_most(model):
    for line in as_lines(play(model, records([hello(), *frames(WALK)]))):
        json.loads(line, parse_float=lambda text: pytest.fail(text) if len(text.partition(".")[2]) > 4 else 0.0)


def test_a_short_gap_is_patched_and_said(model):
    xyz = signal(("walking", 20))
    pieces = [frames(xyz[:200])[k] for k in range(20)] + frames(xyz[203:], start_us=10_150_000, first_seq=21)
    events = play(model, records([hello(), *pieces]))
    assert [(gap["lost"], gap["seconds"]) for gap in of(events, "gap")] == [(3, 0.15)]
    patched = [w.get("patched", 0.0) for w in of(events, "window")]
    assert patched[0] == 0.0 and max(patched) == pytest.approx(3 / 200)
    assert len(patched) == 11


def test_a_long_gap_leaves_no_window_across_it(model):
    pieces = frames(signal(("walking", 60)))
    events = play(model, records([hello(), *pieces[:50], *pieces[60:]]))
    assert [(gap["t"], gap["lost"], gap["why"]) for gap in of(events, "gap")] == [(30.0, 100, "sequence")]
    assert all(w["end"] <= 25 or w["start"] >= 30 for w in of(events, "window"))
    assert events[-1]["lost"] == 100


def test_bad_bytes_between_frames_cost_no_more_than_those_frames(model):
    pieces = frames(WALK)
    clean = play(model, records([hello(), *pieces]))
    noisy = play(model, records([hello(), *(b"\x05noise\x00" + piece for piece in pieces)]))
    assert noisy[-1]["bad_frames"] == len(pieces)
    assert noisy[:-1] == clean[:-1]


def test_noise_gives_no_windows_and_one_notice(model):
    rng = np.random.default_rng(0)
    session = Session(model.metadata, Options())
    asked = [*(session.feed(r) for r in records([rng.bytes(500) for _ in range(40)])), session.finish()]
    events = [event for asking in asked for event in answered(asking, model.predict)]
    assert [event["type"] for event in events] == ["session", "end"]
    assert session.samples == 0 and events[-1]["bad_frames"] > 0
    assert [notice for notice in session.notices if "is --baud right?" in notice] == session.notices


def test_silence_is_told_by_the_next_record_as_by_the_clock(model):
    """A live run tells it at once, a replay when the next record shows it: the same line at the same place."""
    told = records([hello(), *frames(WALK)[:30]])
    late = Record(told[-2].host_ns + 4 * SECOND, Kind.BYTES, frames(WALK)[30])
    told = [*told[:-1], late, Record(late.host_ns + 1, Kind.CLOSED, b"end")]
    replayed = play(model, told)
    session, live = Session(model.metadata, Options()), []
    for before, record in zip([told[0], *told], told, strict=False):
        for tick in range(before.host_ns, record.host_ns, SECOND // 3):
            live += session.advance(tick)
        live += answered(session.feed(record), model.predict)
    live += answered(session.finish(), model.predict)
    assert live == replayed
    assert [(d["state"], d["t"]) for d in of(live, "device")] == [("connected", 0), ("silent", 15), ("connected", 15)]


def reconnected(boot, start_us, away_s=10, first_seq=40):
    first = records([hello(), *frames(WALK)[:40]])
    back_ns = first[-2].host_ns + away_s * SECOND
    told = [*first[:-1], lost(first[-2].host_ns + 1), opened(back_ns, Opening("test", "2026-11-22T10:00:30Z"))]
    told.append(Record(back_ns, Kind.BYTES, hello(boot)))
    for k, piece in enumerate(frames(signal(("walking", 20)), start_us, first_seq)):
        told.append(Record(back_ns + k * SECOND // 2, Kind.BYTES, piece))
    return [*told, Record(told[-1].host_ns, Kind.CLOSED, b"end")]


def test_a_device_that_was_away_and_kept_its_clock_goes_on_by_it(model):
    events = play(model, reconnected(boot=1, start_us=29_500_000))
    assert [d["state"] for d in of(events, "device")] == ["connected", "lost", "connected"]
    assert [(g["t"], g["lost"], g["why"]) for g in of(events, "gap")] == [(29.5, 190, "reconnect")]
    assert len(of(events, "session")) == 1
    assert events[-1]["t"] == pytest.approx(49.5)


def test_a_device_that_started_anew_goes_on_by_the_arrival_clock(model):
    events = play(model, reconnected(boot=2, start_us=0, first_seq=0))
    (gap,) = of(events, "gap")
    # The last sample lay at 19.95 s; the new frame of ten arrived 10 s later, when its last sample was taken.
    assert [d["t"] for d in of(events, "device")] == [0.0, 20.0, 20.0]
    assert gap["t"] == pytest.approx(29.5) and gap["why"] == "reconnect"
    t = [event["t"] for event in events]
    assert t == sorted(t)


def test_what_went_on_ends_when_the_device_is_lost(model):
    events = play(model, reconnected(boot=1, start_us=29_500_000))
    states = [e.get("state") or e.get("phase") for e in events if e["type"] in ("device", "activity")]
    assert states == ["connected", "start", "end", "lost", "connected", "start", "end"]


@pytest.mark.parametrize(("explain", "pieces"), [("none", 0), ("top", 5), ("full", 10)])
def test_explain_says_how_many_pieces_are_told(model, explain, pieces):
    events = play(model, records([hello(), *frames(WALK)]), explain=explain)
    assert {len(w["because"]) for w in of(events, "window")} == {pieces}
    assert {"in_words" in w for w in of(events, "window")} == {pieces > 0}


def test_pieces_are_told_with_names_that_were_tested_only(model):
    events = play(model, records([hello(), *frames(WALK)]))
    walking = of(events, "window")[-1]["because"][0]
    sitting = of(events, "window")[0]["because"][0]
    assert walking["codes"] == [1, 1, 1] and walking["code_names"] == [None] * 3
    assert (walking["sub_action"], walking["p"]) == (None, None)
    assert (sitting["sub_action"], sitting["code_names"]) == ("arm rests", ["arm rests"] * 3)
    last = of(events, "window")[-1]
    assert all(last["start"] <= piece["t"] < last["end"] for piece in last["because"])
    contributions = [piece["contribution"] for piece in last["because"]]
    assert contributions == sorted(contributions, reverse=True)


def test_a_faster_device_gives_the_same_labels(model):
    xyz = np.repeat(signal(("sitting", 15), ("jogging", 20)), 5, axis=0)
    events = play(model, records([hello(rate=100.0), *frames(xyz, rate=100.0, n=50)]))
    assert {w["label"] for w in of(events, "window") if w["start"] >= 15} == {"jogging"}
    assert of(events, "device")[0]["rate_hz"] == 5 * RATE


def test_the_hop_may_be_chosen(model):
    events = play(model, records([hello(), *frames(WALK)]), hop_s=5.0)
    assert [w["start"] for w in of(events, "window")] == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]


def test_a_watch_that_lies_still_and_cool_is_not_worn_and_does_nothing(model):
    """The model would call it sitting; STAT tells 22 °C every 5 s."""
    rng = np.random.default_rng(0)
    still = rng.normal((0, 0, 1), 0.001, (8 * 60 * 20, 3))
    xyz = np.concatenate([signal(("sitting", 120)), still, signal(("sitting", 120))])
    pieces = [hello()]
    for k, piece in enumerate(frames(xyz)):
        pieces += [piece] if k % 10 else [piece, encode(Stat(1, 0, 3900, 2200 if 240 <= k < 1200 else 3100))]
    events = play(model, records(pieces, step_ns=SECOND // 2))
    assert [(d["state"], d["t"], d.get("onset")) for d in of(events, "device")] == [
        ("connected", 0, None), ("not_worn", 420, 120), ("connected", 660, 600),
    ]  # fmt: skip
    told = [(a["phase"], a["t"]) for a in of(events, "activity")]
    assert told[1] == ("end", pytest.approx(420, abs=5)) and told[2] == ("start", pytest.approx(667, abs=6))


def test_a_rule_of_ones_own_replaces_the_models(model):
    told = records([hello(), *frames(WALK)])
    assert of(play(model, told), "activity")
    rules = Rules(Rule(enter=1.0, leave=1.0, min_duration_s=60))
    assert of(play(model, told, rules=rules), "activity") == []
