"""mmvq-run on a real pseudo-terminal: live equals replay, and what happens when the port does."""

import fcntl
import os
import pty
import select
import signal as signals
import struct
import subprocess
import sys
import termios
import threading
import time
import tty
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import pytest
import serial
from wearing import frames, hello, of, parsed, signal, write_csv

from mmvq_bridge.frames import OP_START, Command, encode
from mmvq_bridge.link import BOOT_DELAY_S
from mmvq_bridge.stream import serial_port
from mmvq_bridge.stream.stop import Stop
from mmvq_run import stream

WALK = signal(("sitting", 14), ("walking", 16))


class Board:
    """A device of our own on a pseudo-terminal, for what the simulated one does not do."""

    def __init__(self, link):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        link.unlink(missing_ok=True)
        self.port = os.ttyname(slave)
        link.symlink_to(self.port)
        os.close(slave)

    def wait_until_open(self):
        """A reader has the port open, and has emptied its buffer (pyserial does)."""
        poll, deadline = select.poll(), time.monotonic() + 20
        poll.register(self.master, 0)
        while poll.poll(0):  # hung up: nobody has it open yet
            assert time.monotonic() < deadline, "nobody opened the port"
            time.sleep(0.02)
        time.sleep(BOOT_DELAY_S)

    def send(self, *pieces):
        for piece in pieces:
            while piece:
                piece = piece[os.write(self.master, piece) :]

    def unplug(self):
        """A real port, too, gives its reader what came before."""
        seen = os.open(self.port, os.O_RDONLY | os.O_NOCTTY)
        deadline, quiet = time.monotonic() + 20, 0
        while time.monotonic() < deadline and quiet < 10:
            (waiting,) = struct.unpack("i", fcntl.ioctl(seen, termios.FIONREAD, bytes(4)))
            quiet = quiet + 1 if waiting == 0 else 0
            time.sleep(0.03)
        os.close(seen)
        os.close(self.master)


@contextmanager
def running(*words, model):
    process = subprocess.Popen(
        [sys.executable, "-m", "mmvq_run", *map(str, words), "--model", str(model)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out.splitlines(), err


@pytest.mark.parametrize("format", ["jsonl", "text"])
def test_live_equals_replay_byte_for_byte(tmp_path, model_path, run, format):
    worn = write_csv(tmp_path / "worn.csv", (0, WALK, [""] * len(WALK)))
    link, capture = tmp_path / "wrist", tmp_path / "live.mmvqcap"
    device = subprocess.Popen(
        [sys.executable, "-m", "mmvq_bridge", "simulate", str(worn), "--link", str(link), "--speed", "40",
         "--fault", "drop=0.05", "--fault", "corrupt=0.05", "--seed", "3"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while not link.is_symlink() and time.monotonic() < deadline:
            time.sleep(0.02)
        words = ("--port", link, "--reconnect", "0", "--record", capture, "--format", format, "--explain", "full")
        with running(*words, model=model_path) as process:
            status, live, err = ended(process)
    finally:
        device.kill()
        device.wait()
    assert status == 1 and "it went away" in err.splitlines()[-1]
    assert len(live) > 4
    status, replay, _ = run("--input", capture, "--format", format, "--explain", "full")
    assert status == 0
    assert replay == live
    assert not list(tmp_path.glob("*.part"))


def test_an_absent_port_is_named_with_those_at_hand(run, tmp_path):
    status, out, err = run("--port", tmp_path / "ttyUSB9")
    assert (status, out) == (2, [])
    assert "ttyUSB9: no such port; " in err.splitlines()[-1] and "at hand" in err


def test_a_port_in_use_is_said_to_be(run, tmp_path):
    link = tmp_path / "port"
    board = Board(link)
    with serial.serial_for_url(str(link), exclusive=True):
        status, out, err = run("--port", link)
    os.close(board.master)
    assert (status, out) == (2, [])
    assert "port: in use by another program" in err.splitlines()[-1]


def test_a_port_that_cannot_be_opened_leaves_no_capture(run, tmp_path):
    assert run("--port", tmp_path / "gone", "--record", tmp_path / "c.mmvqcap")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_device_unplugged_for_good_is_flushed_ended_and_a_failure(tmp_path, model_path):
    link = tmp_path / "port"
    board = Board(link)
    with running("--port", link, "--reconnect", "0.3", model=model_path) as process:
        board.wait_until_open()
        board.send(hello(), *frames(WALK))
        board.unplug()
        status, out, err = ended(process)
    events = parsed(out)
    assert status == 1
    assert [d["state"] for d in of(events, "device")] == ["connected", "lost"]
    assert events[-1]["type"] == "end" and events[-1]["windows"] == len(of(events, "window")) == 21
    assert "not back within 0.3 s" in err.splitlines()[-1]


def test_a_device_that_comes_back_goes_on_and_its_replay_is_the_same(tmp_path, model_path, run):
    link, capture = tmp_path / "port", tmp_path / "c.mmvqcap"
    board = Board(link)
    with running("--port", link, "--reconnect", "20", "--record", capture, model=model_path) as process:
        board.wait_until_open()
        board.send(hello(boot=1), *frames(WALK))
        board.unplug()
        board = Board(link)
        board.wait_until_open()
        board.send(hello(boot=2), *frames(WALK))
        time.sleep(0.5)
        process.send_signal(signals.SIGINT)
        status, live, _ = ended(process)
    os.close(board.master)
    events = parsed(live)
    assert status == 130
    assert [d["state"] for d in of(events, "device")] == ["connected", "lost", "connected"]
    assert len(of(events, "session")) == 1
    assert events[-1]["windows"] >= 41
    assert run("--input", capture)[1] == live


@pytest.mark.parametrize("number", [signals.SIGINT, signals.SIGTERM])
def test_a_wish_to_stop_flushes_and_ends(tmp_path, model_path, number):
    link, capture = tmp_path / "port", tmp_path / "c.mmvqcap"
    board = Board(link)
    with running("--port", link, "--record", capture, model=model_path) as process:
        board.wait_until_open()
        board.send(hello(), *frames(WALK))
        time.sleep(0.5)
        process.send_signal(number)
        status, out, err = ended(process)
    os.close(board.master)
    events = parsed(out)
    assert status == 130
    assert events[-1]["type"] == "end" and events[-1]["windows"] == 21
    assert "Traceback" not in err
    assert capture.exists() and not list(tmp_path.glob("*.part"))


def test_a_device_that_sends_noise_is_said_and_does_no_harm(tmp_path, model_path):
    link = tmp_path / "port"
    board = Board(link)
    with running("--port", link, "--reconnect", "0", model=model_path) as process:
        board.wait_until_open()
        board.send(np.random.default_rng(0).bytes(9000))
        board.send(b"\0", hello(), *frames(WALK))
        board.unplug()
        status, out, err = ended(process)
    events = parsed(out)
    assert status == 1
    assert "is --baud right?" in err
    assert events[-1]["windows"] == 21 and events[-1]["bad_frames"] > 0


@pytest.mark.parametrize(
    ("said", "answer"),
    [([hello(), *frames(WALK)], encode(Command(OP_START, 0))), ([b"0.1,0.2,0.9\r\n"] * 600, b"")],
    ids=["protocol", "lines"],
)
def test_a_device_that_speaks_the_protocol_is_asked_to_start_and_a_board_that_prints_lines_nothing(
    said, answer, tmp_path, model_path
):
    link = tmp_path / "port"
    board = Board(link)
    os.set_blocking(board.master, False)
    with running("--port", link, model=model_path) as process:
        board.wait_until_open()
        board.send(*said)
        time.sleep(0.5)
        process.send_signal(signals.SIGINT)
        process.communicate(timeout=20)
    heard = b""
    with suppress(BlockingIOError, OSError):
        heard = os.read(board.master, 100)
    os.close(board.master)
    assert heard == answer


def test_a_capture_of_a_killed_run_can_be_replayed(tmp_path, model_path, run):
    link, capture = tmp_path / "port", tmp_path / "c.mmvqcap"
    board = Board(link)
    with running("--port", link, "--record", capture, model=model_path) as process:
        board.wait_until_open()
        board.send(hello(), *frames(WALK))
        time.sleep(0.5)
        process.kill()
        process.communicate()
    os.close(board.master)
    status, out, _ = run("--input", tmp_path / "c.mmvqcap.part")
    assert status == 0
    assert parsed(out)[-1]["windows"] == 21


def test_a_port_that_is_renumbered_is_found_again_by_its_stable_name(tmp_path, monkeypatch, model):
    """/dev/serial/by-id is made by udev, which a container lacks: a folder of such links stands for it."""
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    monkeypatch.setattr(serial_port, "stable_name", partial(serial_port.stable_name, by_id=by_id))
    board, said = Board(tmp_path / "ttyUSB0"), []
    (by_id / "usb-board").symlink_to(board.port)
    boards = [board]

    def play():
        boards[0].wait_until_open()
        boards[0].send(hello(), *frames(WALK)[:20])
        boards[0].unplug()
        (tmp_path / "ttyUSB0").unlink()
        (by_id / "usb-board").unlink()
        boards.append(Board(tmp_path / "ttyUSB1"))
        (by_id / "usb-board").symlink_to(boards[1].port)
        boards[1].wait_until_open()
        boards[1].send(hello(), *frames(WALK, 15_000_000, 30))

    playing = threading.Thread(target=play)
    playing.start()
    stop, events = Stop(), []
    for event in stream(str(tmp_path / "ttyUSB0"), model, stop=stop, say=said.append):
        events.append(event)
        stop.asked = len(of(events, "device")) == 3 and event["type"] == "window"
    playing.join()
    os.close(boards[1].master)
    assert [d["state"] for d in of(events, "device")] == ["connected", "lost", "connected"]
    assert said[-1].endswith("back again")
