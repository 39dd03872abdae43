"""mmvq-run report: what it takes, what it refuses, and where the page goes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from report_events import end, event, page_of, piece, refusal, session, window, written

from mmvq_bridge.command import BadInput, run_command
from mmvq_run.report.cli import work


def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(), window(0), '{"v":1,"type":"window","t":1')
    assert "Line 3, the last one, is cut short" in page.text
    assert "in 1 window" in page.text


def test_a_last_line_without_its_line_feed_is_a_line(tmp_path: Path) -> None:
    page = page_of(tmp_path, session(), json.dumps(window(0)))
    assert "cut short" not in page.text and "in 1 window" in page.text


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("0.0 s  session: demo\n", "no JSON object"),
        ('{"v":1,"type":"win\n', "no JSON object"),
        ("[" * 100_000 + "\n", "no JSON object"),
        ("[1]\n", "no JSON object"),
        ('{"v":1,"type":"window","t":' + "9" * 5000 + "}\n", "no JSON object"),
        ('{"v":2,"type":"window"}\n', "no event of version 1"),
        ('{"v":1}\n', "'type' of the None is not a text"),
        (window(0) | {"start": "0"}, "'start' of the window is not a number"),
        (window(0) | {"start": 1e300}, "'start' of the window is not a number"),
        (window(0) | {"start": 11.0}, "'end' of the window is not after its start"),
        (window(0) | {"confidence": float("nan")}, "'confidence' of the window is not a number"),
        (window(0) | {"unknown": 1}, "'unknown' of the window is not true or false"),
        (window(0) | {"top": [["walking"]]}, "'top' of the window is not a list of labels"),
        (window(0) | {"because": [7]}, "'because' of the window is not a list of pieces"),
        (window(0, because=[piece("a", 1.0, [-1])]), "'codes' of the window's piece is not a list of codes"),
        (window(0, because=[piece("a", 1e9)]), "'contribution' of the window's piece is not a number"),
        (event("gap", 1.0, lost=1.5, seconds=0.1, why="sequence"), "'lost' of the gap is not a whole number"),
        (event("activity", 1.0, phase="pause", label="a", onset=0.0), "'phase' of the activity is not start or end"),
        (session(wall="noon"), "'wall' of the session is not a time"),
        (window(0) | {"recording": [1]}, "'recording' of the window is not a number or a text"),
        (window(0) | {"recording": 1}, "comes before its stream's session line"),
        ("x" * (1 << 20) + "y\n", "over 1048576 bytes long"),
    ],
)
def test_a_bad_line_is_an_error_that_names_file_and_line(tmp_path: Path, line: Any, wrong: str) -> None:
    said = refusal(written(tmp_path, session(), line, end(10.0)))
    assert f"{tmp_path / 'day.jsonl'}: line 2" in said
    assert wrong in said
    assert re.search("; (make|give|join)", said)


@pytest.mark.parametrize("lines", [(), ("\n",), ("{",)])
def test_a_file_without_a_session_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert "no session line" in refusal(written(tmp_path, *lines))


def test_two_runs_mixed_in_one_file_are_refused(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, session(), window(0), window(10), window(5)))
    assert "line 4: a window of 5 s after one of 10 s; the file mixes several runs" in said


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        assert run_command("mmvq-run", work, [str(path)]) == 2
        err = capsys.readouterr().err
        assert str(path) in err and "give a file of events" in err and err.count("\n") == 1


def test_the_page_never_takes_the_place_of_the_events(tmp_path: Path) -> None:
    path = written(tmp_path, session())
    with pytest.raises(BadInput, match="the file of events itself"):
        work([str(path), "--out", str(path)])
    with pytest.raises(BadInput, match="a folder"):
        work([str(path), "--out", str(tmp_path)])
    assert path.read_text().count("\n") == 1


def test_the_page_goes_beside_the_events_or_where_one_says_and_a_bad_file_leaves_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, session(), window(0), end(10.0))
    work([str(path)])
    assert capsys.readouterr().err == f"{tmp_path / 'day.html'}: what {path} tells\n"
    work([str(path), "--out", str(tmp_path / "new" / "page.html")])
    before = (tmp_path / "day.html").read_bytes()
    assert (tmp_path / "new" / "page.html").read_bytes() == before
    with pytest.raises(BadInput):
        work([str(written(tmp_path, session(), "[]\n"))])
    assert (tmp_path / "day.html").read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["day.html", "day.jsonl", "new"]


def test_text_that_utf_8_cannot_hold_or_a_page_show_becomes_question_marks(tmp_path: Path) -> None:
    line = json.dumps(window(0, "a\ud800b\x1b[2Jc"))  # escaped, as JSON may
    assert "a?b?[2Jc" in page_of(tmp_path, session(), line + "\n", end(10.0)).text
