"""Sinks in trouble: full disks, stores that hang or raise, killed runs."""

import resource
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from telling import SESSION, gap, ids_of, keep, kept_ids, run_of, told_until_killed, until

from mmvq_run.sinks import kept
from mmvq_run.sinks.kept import Kept
from mmvq_run.sinks.where import open_sink


@contextmanager
def no_file_over(size: int):
    """The kernel takes a part of what would grow a file over `size` bytes, and refuses the rest."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, with room for a database's log, which takes 4 MB before it is folded in."""
    at = tmp_path / "disk"
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(at)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield at
    subprocess.run(["umount", str(at)], check=True)


def fill(path: Path):
    with suppress(OSError), path.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


@pytest.mark.parametrize("where", ["events.jsonl", "sqlite:events.db"])
def test_a_full_disk_delays_events_and_loses_none(small_disk, monkeypatch, where):
    monkeypatch.chdir(small_disk)
    said = []
    with open_sink(where, said.append) as sink:
        sink.write(SESSION)
        until(lambda: kept_ids(where), "nothing is kept")
        fill(Path("filler"))
        for n in range(500):
            sink.write(gap(n))
        until(lambda: said, "the full disk is not said")
        assert set(kept_ids(where)) < set(ids_of(run_of(500)))
        Path("filler").unlink()
        until(lambda: len(said) == 2, "its end is not said")
    assert kept_ids(where) == ids_of(run_of(500))
    assert "full" in said[0] or "No space left" in said[0]
    assert "events wait, 16 MB of them at most" in said[0]
    assert said[1].endswith("well again, no event was lost")


@pytest.mark.parametrize("where", ["events.jsonl", "sqlite:events.db"])
def test_a_disk_that_is_full_from_the_start_is_waited_for(small_disk, monkeypatch, where):
    monkeypatch.chdir(small_disk)
    fill(Path("filler"))
    said = []
    with open_sink(where, said.append) as sink:
        sink.write(SESSION)
        until(lambda: said, "the full disk is not said")
        Path("filler").unlink()
    assert kept_ids(where) == ids_of([SESSION])
    assert len(said) == 2 and said[1].endswith("well again, no event was lost")


def test_a_line_that_the_disk_took_half_of_is_taken_back_at_once(tmp_path):
    where = str(tmp_path / "events.jsonl")
    said = []
    with open_sink(where, said.append) as sink:
        with no_file_over(1000):
            for event in run_of(100):
                sink.write(event)
            until(lambda: said, "the trouble is not said")
            assert set(kept_ids(where)) < set(ids_of(run_of(100)))
        until(lambda: len(said) == 2, "its end is not said")
    assert kept_ids(where) == ids_of(run_of(100))
    assert f"{where}: File too large; events wait" in said[0]


def test_when_too_many_wait_the_oldest_are_dropped_counted_and_missing_in_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "LARGEST_WAIT", 2000)
    where = str(tmp_path / "events.jsonl")
    said = []
    with open_sink(where, said.append) as sink:
        with no_file_over(0):
            sink.write(SESSION)
            until(lambda: said, "the trouble is not said")
            for n in range(100):
                sink.write(gap(n))
        until(lambda: len(said) == 2, "its end is not said")
    left = kept_ids(where)
    assert 10 < len(left) < 30
    assert left == ids_of(run_of(100))[-len(left) :]
    assert said[1].endswith(f"well again, {101 - len(left)} events were lost")


def test_a_sink_that_is_well_is_waited_for_however_little_may_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "LARGEST_WAIT", 500)
    where = str(tmp_path / "events.jsonl")
    assert keep(where, run_of(300)) == []
    assert kept_ids(where) == ids_of(run_of(300))


def test_what_cannot_be_delivered_by_the_end_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "CLOSE_S", 0.3)
    where = str(tmp_path / "events.jsonl")
    with no_file_over(0):
        said = keep(where, run_of(4))
    assert len(said) == 2
    assert said[1] == f"{where}: 5 events were not delivered"
    assert kept_ids(where) == []


class Taking:
    """A store in memory, one event at a time, slowly; the first attempt fails if there is an error to be raised."""

    name = "memory"

    def __init__(self, error: Exception | None = None):
        self.error = error
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.taken: list[str] = []

    def deliver(self, events):
        self.goes_on.wait()
        if self.error:
            error, self.error = self.error, None
            raise error
        time.sleep(0.01)
        self.taken.append(events[0].id)
        return 1

    def idle(self):
        pass

    def close(self):
        raise ValueError


def test_whatever_a_store_raises_the_stream_goes_on():
    said = []
    store = Taking(ValueError("a driver's\nown trouble"))
    sink = Kept(store, said.append)
    for event in run_of(3):
        sink.write(event)
    sink.close()
    assert store.taken == ids_of(run_of(3))
    assert said[0].startswith("memory: a driver's own trouble; events wait")
    assert said[1:] == ["memory: well again, no event was lost"]


def test_a_store_that_hangs_does_not_hold_the_stream(monkeypatch):
    monkeypatch.setattr(kept, "LARGEST_WAIT", 1000)
    monkeypatch.setattr(kept, "STALLED_S", 0.1)
    said = []
    store = Taking()
    store.goes_on.clear()
    sink = Kept(store, said.append)
    for event in run_of(50):
        sink.write(event)
    store.goes_on.set()
    sink.close()
    assert said[0].startswith("memory: takes nothing for 0.1 s; events wait")
    assert said[1:] == [f"memory: well again, {51 - len(store.taken)} events were lost"]
    assert store.taken[-1] == ids_of(run_of(50))[-1]


def test_at_the_end_a_slow_store_is_waited_for_as_long_as_it_takes_something(monkeypatch):
    monkeypatch.setattr(kept, "CLOSE_S", 0.2)
    monkeypatch.setattr(kept, "LAST_S", 0.0)
    said = []
    store = Taking()
    sink = Kept(store, said.append)
    for event in run_of(50):
        sink.write(event)
    sink.close()
    assert store.taken == ids_of(run_of(50))
    assert said == []


def test_a_killed_run_leaves_everything_whole_but_for_the_last_second(tmp_path):
    wheres = [f"file:{tmp_path}/events.jsonl?mb=0.02&files=999", f"sqlite:{tmp_path}/events.db"]
    told = told_until_killed(*wheres)
    old = sum(ago > 1 for _, ago in told)
    assert old > 20
    ids = ids_of({"v": 1, "type": "gap", "t": float(n), "lost": n} for n in range(len(told) + 1))
    for where in wheres:
        keep(where, [])  # mends
        found = kept_ids(where)
        assert found == ids[: len(found)]
        assert len(found) >= old
    db = sqlite3.connect(tmp_path / "events.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
