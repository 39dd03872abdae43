"""Several wearables in one process: over real ports and real sockets, one's trouble never another's."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from test_live import Board, ended, running
from wearing import SECOND, frames, hello, of, parsed, play, records, signal

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.stream.records import Kind, Opening, Record, opened
from mmvq_bridge.stream.stop import Stop
from mmvq_run.many import answered_together, port_feed, stream_many
from mmvq_run.pipeline import Options
from mmvq_run.sinks.capture import capture_of
from mmvq_run.sources.listener import listen, read_token

WALK = signal(("sitting", 14), ("walking", 16))
TOKEN = "00ff17"


def without_device(events, device):
    return [{key: value for key, value in e.items() if key != "device"} for e in events if e["device"] == device]


def many(model, *feeds, **options):
    said = []
    return list(stream_many(feeds, model, Options(**options), Stop(), said.append)), said


def test_each_wearable_gets_the_events_it_would_get_alone(model):
    told = {f"w{k}": records([hello(uid=k), *frames(signal(("walking", 20 + k), seed=k))]) for k in range(5)}
    events, said = many(model, *(port_feed(name, some) for name, some in told.items()))
    assert said == []
    for name, some in told.items():
        assert without_device(events, name) == play(model, some)


def test_one_that_cannot_be_understood_ends_alone(model):
    good = records([hello(), *frames(WALK)])
    lines = [opened(0, Opening("board", None))]
    lines += [Record(k * SECOND // 20, Kind.BYTES, b"9000,9000,9000\n") for k in range(200)]
    events, said = many(model, port_feed("good", good), port_feed("bad", lines))
    assert without_device(events, "good") == play(model, good)
    assert [e["type"] for e in without_device(events, "bad")] == ["session", "end"]
    assert len(said) == 1 and said[0].startswith("bad: ") and "counts?" in said[0]


def test_a_port_that_cannot_be_opened_is_said_and_the_others_go_on(model):
    def none():
        raise BadInput("/dev/none: no such port")
        yield

    events, said = many(model, port_feed("good", records([hello(), *frames(WALK)])), port_feed("/dev/none", none()))
    assert of(events, "window") and said == ["/dev/none: /dev/none: no such port"]
    with pytest.raises(Failed, match="every wearable"):
        many(model, port_feed("/dev/none", none()))


def test_windows_asked_for_together_share_a_call(model):
    calls = []

    def predict_many(windows):
        calls.append(len(windows))
        return model.predict_many(windows)

    def asking(count):
        for _ in range(count):
            yield np.zeros((model.metadata.window, 3), np.float32)
        return [{"type": "end", "t": count}]

    told = answered_together({"a": asking(1), "b": asking(3), "c": asking(0)}, predict_many)
    assert calls == [2, 1, 1] and {key: events[0]["t"] for key, events in told.items()} == {"a": 1, "b": 3, "c": 0}


def test_a_window_the_model_fails_on_spoils_nobody_elses(model):
    bad = np.full((model.metadata.window, 3), 7, np.float32)

    def predict_many(windows):
        if any((window == 7).all() for window in windows):
            raise Failed("the model fails on a window")
        return model.predict_many(windows)

    def asking(window):
        prediction = yield window
        return [{"sum": float(prediction.probabilities.sum())}]

    def caught(window):
        try:
            return (yield from asking(window))
        except Failed:
            return []

    told = answered_together({"good": caught(np.zeros_like(bad)), "bad": caught(bad)}, predict_many)
    assert told == {"good": [{"sum": pytest.approx(1, abs=1e-4)}], "bad": []}


def test_two_ports_of_one_command(tmp_path, model_path, model):
    boards = [Board(tmp_path / name) for name in ("left", "right")]
    ports = [word for name in ("left", "right") for word in ("--port", tmp_path / name)]
    with running(*ports, "--record", tmp_path / "kept", "--reconnect", "0", model=model_path) as process:
        for k, board in enumerate(boards):
            board.wait_until_open()
            board.send(hello(uid=k + 1), *frames(WALK))
        for board in boards:
            board.unplug()
        status, out, err = ended(process)
    assert status == 1 and "every wearable ended in an error" in err
    events = parsed(out)
    for name in ("left", "right"):
        (kept,) = (tmp_path / "kept").glob(f"*{name}.mmvqcap")
        replayed = subprocess.run(
            [sys.executable, "-m", "mmvq_run", "--input", kept, "--model", model_path], capture_output=True, text=True
        )
        assert without_device(events, str(tmp_path / name)) == parsed(replayed.stdout.splitlines())
        assert len(of(parsed(replayed.stdout.splitlines()), "window")) > 10


@contextmanager
def listening(model, reconnect_s=0.2):
    """A listener on a free loopback port: (port, events so far, what was said, stop)."""
    stop, said, events = Stop(), [], []
    feed = listen("0", TOKEN, reconnect_s, stop, said.append)
    port = int(said[0].rpartition(":")[2])

    def play_all():
        for event in stream_many([feed], model, Options(), stop, said.append):
            events.append(event)

    thread = threading.Thread(target=play_all)
    thread.start()
    try:
        yield port, events, said
    finally:
        stop.asked = True
        thread.join(20)
        assert not thread.is_alive()


def comes(port, *pieces, token=TOKEN):
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(token.encode() + b"\n" + b"".join(pieces))
    return line


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_wearables_that_come_by_tcp_are_known_by_their_uid(model):
    with listening(model) as (port, events, _):
        lines = [comes(port, hello(uid=k), *frames(WALK)) for k in (1, 2)]
        until(lambda: len(of(events, "window")) > 30)
        for line in lines:
            line.close()
        until(lambda: len(of(events, "end")) == 2)
    for k in (1, 2):
        mine = without_device(events, f"{k:016x}")
        alone = play(model, records([hello(uid=k), *frames(WALK)]))
        assert of(mine, "window") == of(alone, "window")
        assert [d["state"] for d in of(mine, "device")] == ["connected", "lost"]


def test_a_wearable_that_comes_back_goes_on(model):
    with listening(model, reconnect_s=20) as (port, events, _):
        comes(port, hello(), *frames(WALK)).close()
        until(lambda: [d["state"] for d in of(events, "device")][-1:] == ["lost"])
        comes(port, hello(), *frames(WALK, 40_000_000, 60)).close()
        until(lambda: len(of(events, "device")) == 4)
    assert len(of(events, "session")) == 1 and [g["why"] for g in of(events, "gap")] == ["reconnect"]
    assert max(w["end"] for w in of(events, "window")) > 60


def test_a_wearable_that_comes_back_after_its_end_begins_anew(model):
    with listening(model, reconnect_s=0.2) as (port, events, _):
        for times in (1, 2):
            comes(port, hello(), *frames(WALK)).close()
            until(lambda times=times: len(of(events, "end")) == times)
    first, second = (event["windows"] for event in of(events, "end"))
    assert first == second > 10 and len(of(events, "session")) == 2


def test_captures_of_a_wearable_that_was_there_before_get_a_number(tmp_path):
    names = []
    for _ in range(3):
        path = capture_of(str(tmp_path), "/dev/ttyUSB0")
        path.touch()
        names.append(path.name)
    assert names == ["dev-ttyUSB0.mmvqcap", "dev-ttyUSB0-2.mmvqcap", "dev-ttyUSB0-3.mmvqcap"]


def test_a_second_connection_of_the_same_wearable_takes_the_place_of_the_first(model):
    with listening(model) as (port, events, _), comes(port, hello(), *frames(WALK)[:20]) as first:
        until(lambda: of(events, "device"))
        with comes(port, hello(), *frames(WALK)[20:]):
            until(lambda: [d["state"] for d in of(events, "device")] == ["connected", "lost", "connected"])
            assert first.recv(100) and first.recv(100) == b""


@pytest.mark.parametrize("first", [b"guess\n", b"\n", b"x" * 300, b"00ff1\n", b"\xff\xfe\n"])
def test_whoever_lacks_the_token_is_turned_away(model, first):
    with listening(model) as (port, events, said):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(first)
            assert line.recv(100) == b""
        assert events == [] and "turned away" in said[-1]


def test_a_board_that_prints_lines_is_known_by_its_address(model):
    text = "".join(f"{i * 50},{x:.4f},{y:.4f},{z:.4f}\n" for i, (x, y, z) in enumerate(WALK)).encode()
    with listening(model) as (port, events, _):
        line = comes(port, text)
        name = f"127.0.0.1:{line.getsockname()[1]}"
        until(lambda: of(events, "window"))
        line.close()
    assert {event["device"] for event in events} == {name}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--listen", "nowhere"], "is no [HOST:]PORT"), (["--listen", "70000"], "is no [HOST:]PORT"),
        (["--listen", "0", "--token", "{tmp}/none"], "none: No such file"),
        (["--listen", "0", "--token", "{tmp}/bad"], "bad: no token; it holds hex digits"),
        (["--listen", "192.0.2.1:7000"], "--listen 192.0.2.1:7000"), (["--demo", "--token", "x"], "leave --token out"),
        (["--listen", "0", "--score"], "leave --score out"), (["--listen", "0", "--demo"], "give one of"),
        ([], "give one of"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(run, tmp_path, words, told):
    (tmp_path / "bad").write_text("not hex")
    status, _, err = run(*(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert status == 2 and told in err.splitlines()[-1]


def test_a_token_file_holds_hex_digits(tmp_path):
    (tmp_path / "t").write_text(" 00FF17\n")
    assert read_token(str(tmp_path / "t")) == TOKEN


def test_a_full_disk_ends_the_capture_at_a_whole_record_and_not_the_stream(model_path, model, tmp_path):
    """A file may grow to 4 KB here, as it would on a disk that is full."""
    limit = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); from mmvq_run.cli import main; sys.exit(main())"
    read, write = os.pipe()
    words = ["--input", "-", "--record", tmp_path / "c", "--model", model_path]
    with subprocess.Popen(
        [sys.executable, "-c", limit, *words], stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(read)
        os.write(write, hello())
        until(lambda: (tmp_path / "c.part").exists() and (tmp_path / "c.part").stat().st_size > 50)
        for piece in frames(WALK):
            os.write(write, piece)
            time.sleep(0.005)
        os.close(write)
        out, err = process.communicate(timeout=60)
    alone = play(model, records([hello(), *frames(WALK)]))
    assert process.returncode == 0 and of(parsed(out.splitlines()), "window") == of(alone, "window")
    assert "the capture ends here" in err and (tmp_path / "c").stat().st_size <= 4096
    words = ["--input", tmp_path / "c", "--model", model_path]
    again = subprocess.run([sys.executable, "-m", "mmvq_run", *words], capture_output=True, text=True)
    assert again.returncode == 0 and "cut short" not in again.stderr
