"""Sinks on real files and databases: full disks, killed runs, rotation, and what is refused."""

import json
import os
import sqlite3

import pytest
from telling import SESSION, gap, ids_of, keep, kept_ids, rows_of, run_of, until

from mmvq_bridge.command import BadInput
from mmvq_run.sinks.ids import Numbering
from mmvq_run.sinks.where import open_sink

# ids


def test_an_event_keeps_what_it_was_and_has_its_id_first():
    numbered = Numbering().number(SESSION)
    assert json.loads(numbered.line) == {"id": numbered.id, **SESSION}
    assert numbered.line.startswith(b'{"id":"')


def test_the_same_run_has_the_same_ids_and_each_but_once():
    ids = ids_of(run_of(50))
    assert ids == ids_of(run_of(50))
    assert len(set(ids)) == 51
    assert [name.split("-")[1] for name in ids] == [str(n) for n in range(51)]


def test_a_run_that_tells_something_else_has_other_ids_even_in_the_same_session():
    ours, theirs = ids_of(run_of(3)), ids_of([SESSION, gap(0), gap(1, patched=0.1), gap(2)])
    assert [a == b for a, b in zip(ours, theirs, strict=True)] == [True, True, False, True]
    assert {name.split("-")[0] for name in ours + theirs} == {ours[0].split("-")[0]}


@pytest.mark.parametrize("key", ["device", "recording"])
def test_interleaved_streams_are_numbered_each_for_itself(key):
    names = (1, 2) if key == "recording" else ("left", "right")
    one, other = ([{**event, key: name} for event in run_of(5)] for name in names)
    mixed = ids_of([event for pair in zip(one, other, strict=True) for event in pair])
    assert mixed[0::2] == ids_of(one)
    assert mixed[1::2] == ids_of(other)
    assert not set(ids_of(one)) & set(ids_of(other))


# what is refused


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("ftp:events", "unknown scheme ftp; there are FILE.jsonl, file:.*sqlite:.*mqtt://"),
        ("", "needs the name of a file"),
        ("file:?mb=3", "needs the name of a file"),
        ("sqlite:", "needs the name of a file"),
        ("sqlite://events.db", "no //"),
        ("sqlite:events.db?mb=3", "sqlite: has no option mb"),
        ("events.jsonl?size=3&age=2", "file: has no option age, size"),
        ("events.jsonl?mb=0", "mb is a number above 0"),
        ("events.jsonl?mb=nan", "mb is a number above 0"),
        ("events.jsonl?mb=", "mb is a number above 0"),
        ("events.jsonl?files=1", "a whole one from 2 to 1000"),
        ("events.jsonl?files=2.5", "a whole one from 2 to 1000"),
        ("absent/events.jsonl", "absent/events.jsonl: No such file or directory"),
        ("sqlite:absent/events.db", "absent/events.db: unable to open database file"),
        (".", "Is a directory"),
    ],
)
def test_a_place_where_nothing_can_be_kept_is_refused_in_one_line(tmp_path, monkeypatch, where, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=message):
        keep(where, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("theirs", [b"subject,t_ms,x,y,z\n", b'{"v":1,"type":"session"}\n', b"\x00half"])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path, theirs):
    path = tmp_path / "theirs"
    path.write_bytes(theirs)
    with pytest.raises(BadInput, match="theirs: holds something other than a sink's events"):
        keep(str(path), run_of(1))
    with pytest.raises(BadInput, match="theirs: file is not a database"):
        keep(f"sqlite:{path}", run_of(1))
    assert path.read_bytes() == theirs


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="not a regular file"):
        keep(str(tmp_path / "pipe"), [])


def test_a_table_of_something_else_is_refused(tmp_path):
    path = tmp_path / "theirs.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE events (type TEXT, session TEXT, t REAL)")
    db.close()
    with pytest.raises(BadInput, match=r"theirs\.db: its table events is not a sink's"):
        keep(f"sqlite:{path}", [])


def test_two_runs_do_not_write_the_same_file(tmp_path):
    where = str(tmp_path / "events.jsonl")
    with open_sink(where, print), pytest.raises(BadInput, match="another run writes it"):
        keep(where, [])
    keep(where, run_of(3))
    assert kept_ids(where) == ids_of(run_of(3))


# files


def test_a_second_run_goes_on_in_the_file_of_the_first(tmp_path):
    where = str(tmp_path / "events.jsonl")
    assert keep(where, run_of(3)) == keep(where, [*run_of(3), gap(9)]) == []
    assert kept_ids(where) == ids_of(run_of(3)) + ids_of([*run_of(3), gap(9)])


def test_rotation_keeps_every_line_once_and_in_order(tmp_path):
    path = tmp_path / "events.jsonl"
    where = f"file:{path}?mb=0.001&files=100"
    keep(where, run_of(100))
    keep(where, run_of(100))
    assert kept_ids(where) == 2 * ids_of(run_of(100))
    assert len(list(tmp_path.iterdir())) > 10
    assert all(0 < file.stat().st_size <= 1000 for file in tmp_path.iterdir())


def test_rotation_leaves_the_newest_in_as_many_files_as_were_asked_for(tmp_path):
    where = f"{tmp_path}/events.jsonl?mb=0.001&files=3"
    keep(where, run_of(100))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    left = kept_ids(where)
    assert len(left) > 10
    assert left == ids_of(run_of(100))[-len(left) :]


def test_an_event_larger_than_a_file_has_one_for_itself(tmp_path):
    where = f"{tmp_path}/events.jsonl?mb=0.001&files=9"
    events = [SESSION, gap(0), gap(1, because="x" * 2000), gap(2)]
    keep(where, events)
    assert kept_ids(where) == ids_of(events)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_rotation_that_was_killed_half_way_costs_no_file(tmp_path):
    for name, n in (("events.jsonl", 3), ("events.jsonl.1", 2), ("events.jsonl.3", 1)):  # .2 became .3, no more
        keep(str(tmp_path / name), [gap(n)])
    where = f"{tmp_path}/events.jsonl?mb=0.0001&files=4"
    keep(where, [gap(4)])
    assert kept_ids(where) == [ids_of([gap(n)])[0] for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("left", [1, 7, 40, -1])
@pytest.mark.parametrize("whole", [0, 3])
def test_half_a_line_that_a_killed_run_left_is_cut_off_and_said(tmp_path, whole, left):
    path = tmp_path / "events.jsonl"
    keep(str(path), [gap(0, because="x" * 200_000)])
    torn = path.read_bytes()[:left]
    path.unlink()
    keep(str(path), run_of(5)[:whole])
    with path.open("ab") as file:
        file.write(torn)
    said = keep(str(path), run_of(5))
    assert kept_ids(str(path)) == ids_of(run_of(5)[:whole]) + ids_of(run_of(5))
    assert len(said) == 1 and f"half a line; its {len(torn)} bytes are cut off" in said[0]


# databases


def test_a_database_has_a_row_for_each_event_and_takes_each_once(tmp_path):
    path = tmp_path / "events.db"
    events = [{**event, "device": "left", "recording": 7} for event in run_of(20)]
    assert keep(f"sqlite:{path}", events) == keep(f"sqlite:{path}", events) == []
    rows = rows_of(path, "id, session, device, recording, type, t, event")
    assert [row[0] for row in rows] == ids_of(events)
    session = ids_of(events)[0].split("-")[0]
    assert rows[3][1:6] == (session, "left", 7, "gap", 2.0)
    assert json.loads(rows[3][6]) == {"id": rows[3][0], **events[3]}
    assert [file.name for file in tmp_path.iterdir()] == ["events.db"]


def test_a_database_can_be_read_while_it_is_written(tmp_path):
    path = tmp_path / "events.db"
    with open_sink(f"sqlite:{path}", print) as sink:
        for n, event in enumerate(run_of(5)):
            sink.write(event)
            until(lambda n=n: len(rows_of(path)) == n + 1, "an event is not there")
