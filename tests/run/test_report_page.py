"""mmvq-run report: what a page says of a file of events."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_events import end, ended, event, page_of, piece, session, started, window, written
from wearing import data, frames, hello, lost, of, play, records, signal

from mmvq_run.report import read_day
from mmvq_run.report.read import EventFile
from mmvq_run.report.reasons import KINDS
from mmvq_run.report.totals import totals

SECOND = 1_000_000_000
WORN = signal(("sitting", 30), ("walking", 30), ("jogging", 30))


# What a page says of real events


def test_activities_of_a_real_run_are_listed_with_their_onsets_and_durations(model: Any, tmp_path: Path) -> None:
    events = play(model, records([hello(), *frames(WORN)]))
    page = page_of(tmp_path, *events)
    told = of(events, "activity")
    over = [one for one in told if one["phase"] == "end"]
    assert [one["label"] for one in over] == ["sitting", "walking", "jogging"]
    assert len(page.entries) == 3
    for entry, one in zip(page.entries, over, strict=True):
        begin, last = (f"10:{int(t) // 60:02}:{int(t) % 60:02}" for t in (one["onset"], one["t"]))
        assert entry.startswith(f"{one['label']}{begin} – {last} {one['duration']:.1f} s")
    assert "2026-11-22 10:00:00 to 2026-11-22 10:01:30 UTC" in page.text
    assert "0000000000000abc (20 Hz)" in page.text and "model tiny" in page.text


def test_reasons_of_an_activity_are_those_of_its_windows_added_up(model: Any, tmp_path: Path) -> None:
    events = play(model, records([hello(), *frames(WORN)]), explain="full")
    begin, last = of(events, "activity")[2:4]
    assert (begin["label"], begin["phase"], last["phase"]) == ("walking", "start", "end")
    its = [one for one in of(events, "window") if one["label"] == "walking" and one["t"] <= last["t"]]
    its = [one for one in its if (one["start"] + one["end"]) / 2 >= begin["onset"]]
    sums: dict[str, float] = {}
    for one in its:
        for part in one["because"]:
            what = part["sub_action"] or "code " + "·".join(map(str, part["codes"]))
            sums[what] = sums.get(what, 0.0) + part["contribution"] / len(its)
    body = page_of(tmp_path, *events).body(1)
    rows = [row for row in body.rows("bars sums") if not row[0].endswith("of pieces")]
    assert rows
    for what, each, *_ in rows:
        assert float(each.replace("−", "-")) == pytest.approx(sums[what], abs=0.006)
    assert f"divided by {len(its)} windows" in body.text
    assert f"{len(its)} windows of the" in body.text


def test_a_gap_of_a_real_run_is_counted_and_its_time_is_not_seen(model: Any, tmp_path: Path) -> None:
    pieces = frames(WORN)
    del pieces[70:74]
    events = play(model, records([hello(), *pieces]))
    page = page_of(tmp_path, *events)
    (row,) = page.rows("rows gaps")
    assert row[:4] == ["sequence", "1", "40", "2.0"]
    windows = of(events, "window")
    seen = np.zeros(900, dtype=bool)
    for one in windows:
        seen[round(one["start"] * 10) : round(one["end"] * 10)] = True
    assert f"Seen1 min {seen.sum() // 10 - 60} s" in page.text
    assert "no window saw" in page.body(0).text
    assert 'class="gap"' in page.html


def test_a_lost_port_a_reset_and_damaged_frames_are_told(model: Any, tmp_path: Path) -> None:
    told = records([hello(1), *frames(WORN[:600]), b"\x01\x02\x03\x00"])[:-1]
    told += [lost(told[-1].host_ns + SECOND)]
    page = page_of(tmp_path, *play(model, told))
    assert page.rows("rows states")[0][:2] == ["lost", "1"]
    assert "1 frame came damaged and was dropped" in page.text
    assert 'class="s1"' in page.html
    reset = records([hello(1), *frames(WORN[:400]), hello(2), *frames(WORN[:400])])
    assert page_of(tmp_path, *play(model, reset)).rows("rows states")[0][:2] == ["reset", "1"]


def test_a_run_without_reasons_says_so(model: Any, tmp_path: Path) -> None:
    page = page_of(tmp_path, *play(model, records([hello(), *frames(WORN)]), explain="none"))
    assert "tell no reasons, as under --explain none" in page.body(0).text
    assert "bars sums" not in page.html


def test_a_stream_without_samples_has_a_page(model: Any, tmp_path: Path) -> None:
    page = page_of(tmp_path, *play(model, records([hello(), data(0, 0, WORN[:10])])))
    assert "The file has no windows" in page.text and "Nothing was decided on" in page.text


# Time


def day_of(folder: Path, *events: dict[str, Any]) -> Any:
    return read_day(EventFile(written(folder, *events)))


def test_each_second_that_a_window_saw_counts_once_for_the_nearest_window(tmp_path: Path) -> None:
    day = day_of(tmp_path, session(), window(0), window(5), window(10, "sitting"), window(40, "sitting"), end(60.0))
    whole = totals(day, day.streams)
    bouts = day.streams[0].bouts
    assert list(zip(bouts.begins, bouts.ends, strict=True)) == [(0, 12.5), (12.5, 20), (40, 50)]
    assert (whole.whole, whole.seen, whole.unseen) == (60, 30, 30)
    assert [(one.name, one.seconds, one.bouts) for one in whole.labels] == [
        ("sitting", 17.5, 2), ("walking", 12.5, 1), (None, 0, 0),
    ]  # fmt: skip


def test_the_median_confidence_is_of_the_labels_own_windows(tmp_path: Path) -> None:
    page = page_of(
        tmp_path, session(), window(0, confidence=0.4), window(5, confidence=0.7), window(10, confidence=0.9),
        window(15, "sitting", 0.5), end(25.0),
    )  # fmt: skip
    rows = {row[0]: row for row in page.rows("bars times")}
    assert (rows["walking"][4], rows["sitting"][4]) == ("70 %", "50 %")


def test_unknown_windows_are_of_no_activity_and_a_stretch_of_their_own(tmp_path: Path) -> None:
    strange = [window(t, "sitting", unknown=True) for t in (10, 15, 20)]
    page = page_of(tmp_path, session(), window(0), window(5), *strange, window(25), end(35.0))
    names = [row[0] for row in page.rows("bars times")]
    assert names == ["walking", "unknown"]
    (entry,) = page.entries
    assert entry.startswith("unknown10:00:12") and "most like sitting" in entry
    assert "3 windows in a row, all unlike anything" in page.body(0).text
    assert "sitting 3. None of these counts" in page.body(0).text
    assert f"Unknown{100 * 15 / 35:.1f} %" in page.text


def test_time_in_which_the_device_was_not_worn_is_in_no_activity_though_known_late(tmp_path: Path) -> None:
    page = page_of(
        tmp_path, session(), *(window(5 * k, "sitting") for k in range(60)), started(12.0, "sitting", 0.0),
        event("device", 240.0, state="not_worn", uid=None, rate_hz=20.0, onset=60.0),
        ended(240.0, "sitting", 0.0),
        event("device", 250.0, state="silent", uid=None, rate_hz=20.0),
        event("device", 250.0, state="connected", uid=None, rate_hz=20.0),
        event("device", 300.0, state="connected", uid=None, rate_hz=20.0, onset=285.0),
        end(305.0),
    )  # fmt: skip
    assert page.rows("bars times")[0][:3] == ["sitting", f"{(305 - 225) / 60:.1f}", "100.0 %"]
    assert ["not worn", "1", "3 min 45 s"] in [row[:3] for row in page.rows("rows states")]
    assert "In 3 min of this time the device was not worn" in page.body(0).text
    assert 'class="s0"' in page.html


def test_windows_of_an_activity_count_from_its_onset_on_and_others_are_said(tmp_path: Path) -> None:
    early = [window(t, because=[piece("early", 9.0)]) for t in (0, 5)]
    late = [window(t, because=[piece("late", 1.0)]) for t in (10, 15)]
    other = window(20, "sitting", because=[piece("other", 5.0)])
    page = page_of(tmp_path, session(), *early, *late, started(25, "walking", 15.0), other, ended(30, "walking", 15.0))
    body = page.body(0)
    assert [row[:3] for row in body.rows("bars sums")] == [["late", "+1.00", "2 of 2"]]
    assert "2 windows of the 3 that were told" in body.text


def test_reasons_against_stand_last_and_small_ones_are_summed(tmp_path: Path) -> None:
    because = [piece("strong", 2.0), *(piece(None, 0.001, (k,)) for k in range(50)), piece("against", -0.5)]
    page = page_of(tmp_path, session(), window(0, because=because), started(12, "walking", 0.0), end(12.0))
    rows = page.body(0).rows("bars sums")
    assert [row[0] for row in rows] == ["strong", "against", "50 other kinds of pieces"]
    assert [row[1] for row in rows] == ["+2.00", "−0.50", "+0.05"]
    assert "−0.50against" in page.body(0).text


def test_reasons_of_more_kinds_than_are_kept_still_add_up(tmp_path: Path) -> None:
    many = [window(k, because=[piece(None, 1.0, (k, n)) for n in range(50)]) for k in range(2 * KINDS // 50)]
    often = window(len(many), because=[piece("often", 3.0)])
    page = page_of(tmp_path, session(), *many, often, started(len(many) + 12, "walking", 0.0), end(200.0))
    rows = page.body(0).rows("bars sums")
    each = [float(row[1]) for row in rows]
    assert rows[0][0] == "often"
    assert sum(each) == pytest.approx((2 * KINDS + 3) / (len(many) + 1), abs=0.05)


def test_labels_beyond_the_colours_share_one(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(), *(window(10 * k, f"label {k}") for k in range(30)), end(310.0))
    assert "6 more activities" in page.text
    assert len(page.rows("bars times")) == 30
    assert 'class="others"' in page.html


def test_what_goes_on_at_the_end_of_the_file_is_shown_and_said(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(), window(0), window(5), started(15, "walking", 0.0))
    assert page.entries[0].startswith("walking10:00:00 – 10:00:15")
    assert "The file does not tell its end" in page.body(0).text
    assert "the run goes on, or was killed" in page.text


def test_an_end_without_its_start_is_shown_without_reasons(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(), window(0), ended(30, "walking", 2.0), end(30.0))
    assert "lacks the line of its beginning" in page.body(0).text


def test_without_wall_time_moments_are_of_the_stream(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(wall=None), window(3600), started(3612, "walking", 3600.0), end(3700.0))
    assert "does not say at what time of day" in page.text
    assert page.entries[0].startswith("walking1:00:00 – 1:00:10")
    assert "Times are since the stream's start" in page.text


def test_a_file_of_several_days_has_a_picture_a_day(tmp_path: Path) -> None:
    page = page_of(
        tmp_path, session(), window(0), end(60.0), session(wall="2026-11-25T10:00:00Z"), window(0, "sitting"), end(60.0)
    )
    assert page.html.count('aria-label="Timeline of 2026-11-2') == 2 * 2
    assert "Timeline of 2026-11-23" not in page.html


def test_a_night_worn_through_is_one_picture_with_its_hours(tmp_path: Path) -> None:
    night = [session(wall="2026-11-22T20:30:00Z"), *(window(60.0 * k) for k in range(600)), end(36_000.0)]
    page = page_of(tmp_path, *night)
    assert "Hour by hour (11 rows)" in page.text
    assert page.html.count('aria-label="Timeline"') == 2  # the drawing and the box that scrolls it


# Several streams in one file


def test_streams_that_interleave_stay_apart_and_are_added_up(tmp_path: Path) -> None:
    keys: list[dict[str, Any]] = [{"device": "left"}, {"device": "right"}, {"device": "right", "recording": 7}]
    lines = [session(), *(window(5 * k) for k in range(4)), end(25.0)]
    page = page_of(tmp_path, *(line | key for line in lines for key in keys))
    names = [row[0] for row in page.rows("rows")]
    assert names == ["device left", "device right", "device right, recording 7"]
    assert [row[4] for row in page.rows("rows")] == ["25.0 s"] * 3
    assert "Seen1 min 15 s" in page.text


def test_a_line_told_twice_counts_once(tmp_path: Path) -> None:
    lines = [session(), window(0), started(12, "walking", 0.0), event("gap", 20.0, lost=4, seconds=0.2, why="overrun")]
    lines = [line | {"id": f"5f3a-{k}-9c1e"} for k, line in enumerate([*lines, end(20.0)])]
    once = page_of(tmp_path, *lines)
    twice = page_of(tmp_path, *lines[:3], *lines[1:], *lines)
    assert once.rows("rows gaps")[0][1:3] == ["1", "4"]
    assert twice.html == once.html


def test_streams_too_many_to_draw_are_counted_all_the_same(tmp_path: Path) -> None:
    lines = [line | {"recording": k} for k in range(60) for line in (session(wall=None), window(0), end(10.0))]
    page = page_of(tmp_path, *lines)
    assert "40 of 60 streams are drawn; all sums are of all" in page.text
    assert "Seen10 min" in page.text


def test_lines_of_kinds_to_come_are_left_out_and_said(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(), event("mood", 1.0, of="the wearer"), window(0), end(10.0))
    assert "1 line of kinds unknown here left out (mood)" in page.text


def test_a_piece_in_which_nothing_moves_is_called_so_whatever_its_code_is_called(tmp_path: Path) -> None:
    still = piece("forearm rests", 0.5) | {"still": True}
    windows = [window(0, "sitting", because=[still])]
    told = [session(), *windows, started(10, "sitting", 0), ended(10, "sitting", 0), end(10)]
    body = page_of(tmp_path, *told).body(0)
    assert "hand nearly still" in body.text and "forearm rests" not in body.text


def test_the_command_writes_the_page_beside_the_file(model: Any, tmp_path: Path, run: Any) -> None:
    path = written(tmp_path, *play(model, records([hello(), *frames(WORN)])))
    from mmvq_run.cli import main

    assert main(["report", str(path)]) == 0
    assert "walking" in path.with_suffix(".html").read_text(encoding="utf-8")
