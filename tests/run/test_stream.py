"""The Python API: what the command does, as events of an iterator."""

import os
import pty
import sqlite3
import subprocess
import sys
import termios
from contextlib import closing

import pytest
from wearing import capture, frames, hello, of, parsed, play, records, signal, write_csv

import mmvq_run
from mmvq_bridge.command import BadInput
from mmvq_bridge.stream.stop import Stop
from mmvq_run.pipeline import Options

WALK = signal(("sitting", 14), ("walking", 16))


@pytest.fixture
def a_capture(tmp_path):
    path = tmp_path / "walk.mmvqcap"
    path.write_bytes(capture(records([hello(), *frames(WALK)])))
    return path


def test_a_source_by_name_gives_what_the_command_prints(run, a_capture, model_path):
    _, lines, _ = run("--input", a_capture, "--format", "jsonl")
    assert list(mmvq_run.stream(str(a_capture), model_path)) == parsed(lines)


def test_a_model_that_is_loaded_and_options_serve_as_well(model, a_capture):
    windows = of(list(mmvq_run.stream(str(a_capture), model, Options(hop_s=5, explain="none"))), "window")
    assert [w["end"] for w in windows] == [10, 15, 20, 25, 30] and all(w["because"] == [] for w in windows)


def test_whoever_looks_on_sees_the_samples_and_hears_the_notices(model, tmp_path):
    path = tmp_path / "raw"
    path.write_bytes(hello() + b"".join(frames(WALK)))
    seen, heard = [], []
    list(mmvq_run.stream(str(path), model, say=heard.append, see=lambda t, xyz: seen.append((len(t), xyz.shape))))
    assert sum(n for n, _ in seen) == len(WALK) and all(shape == (n, 3) for n, shape in seen)
    assert "without arrival times" in heard[0]


def test_notices_are_logged_where_nobody_asks_for_them(model, tmp_path, caplog):
    path = tmp_path / "raw"
    path.write_bytes(hello() + b"".join(frames(WALK)))
    list(mmvq_run.stream(str(path), model))
    assert "without arrival times" in caplog.text


def test_a_wish_to_stop_ends_it_with_the_last_windows_and_the_end(model, a_capture):
    stop, events = Stop(), []
    for event in mmvq_run.stream(str(a_capture), model, stop=stop):
        events.append(event)
        stop.asked = stop.asked or event["t"] >= 15
    assert events[-1]["type"] == "end" and events[-1]["t"] < 30


def test_what_cannot_be_read_raises_and_does_not_print(model, tmp_path, capsys):
    with pytest.raises(BadInput, match="No such file"):
        list(mmvq_run.stream(str(tmp_path / "none"), model))
    assert capsys.readouterr() == ("", "")


def test_recordings_come_one_after_the_other(model, tmp_path):
    path = write_csv(tmp_path / "two.csv", (1, WALK, ["walking"] * len(WALK)), (2, WALK, ["walking"] * len(WALK)))
    events = list(mmvq_run.stream(str(path), model))
    assert [event["recording"] for event in of(events, "session")] == [1, 2]
    assert len(of(events, "window")) == 2 * len(of(play(model, records([hello(), *frames(WALK)])), "window"))


def test_importing_the_package_loads_neither_onnxruntime_nor_pyserial_nor_torch():
    code = "import sys, mmvq_run; print([m for m in ('onnxruntime', 'serial', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_keeps_events_in_sinks_with_ids(run, a_capture, tmp_path):
    lines, database = tmp_path / "kept.jsonl", tmp_path / "kept.db"
    _, told, _ = run("--input", a_capture, "--sink", lines, "--sink", f"sqlite:{database}")
    kept = parsed(lines.read_text().splitlines())
    assert [{key: value for key, value in event.items() if key != "id"} for event in kept] == parsed(told)
    with closing(sqlite3.connect(database)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM events")]
    assert sorted(ids) == sorted(event["id"] for event in kept) and len(set(ids)) == len(ids)


def test_a_sink_that_is_none_is_refused_before_anything_is_told(run, a_capture):
    status, out, err = run("--input", a_capture, "--sink", "gopher://x")
    assert (status, out) == (2, []) and "gopher" in err.splitlines()[-1]


def test_a_synthetic_wearable_is_a_port(model):
    events = list(mmvq_run.stream("synthetic://?rate=50&seconds=30&seed=3&fault=drop:0.05", model))
    again = list(mmvq_run.stream("synthetic://?rate=50&seconds=30&seed=3&fault=drop:0.05", model))
    assert events == again and of(events, "gap") and of(events, "window")


def test_on_a_terminal_the_command_shows_a_view_and_leaves_a_summary():
    """The packaged demo, hurried, on a real pseudo-terminal."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (30, 100))
    words = [sys.executable, "-m", "mmvq_run", "--demo", "--speed", "60"]
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
    with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=environment) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 65536)
            except OSError:  # the terminal is nobody's any more
                break
        assert process.stderr is not None
        process.stderr.read()
    os.close(master)
    text = shown.decode()
    assert process.returncode == 0 and "because" in text and "\x1b[?25h" in text  # the cursor is back
    assert "windows, 0 samples lost, 0 bad frames" in text
