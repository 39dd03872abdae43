"""The command on real pseudo-terminals, for as short as there is something to tell; test_doctor.py has the findings."""

import json
import os
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doctor_devices import FLAT, printed, still

import mmvq_bridge
from mmvq_bridge.cli import main
from mmvq_bridge.commands import check
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import Faults, FaultyLine
from mmvq_bridge.link import PseudoTerminal, play

Say = Callable[[int], bytes]  # what a fake device says next, at this baud rate


@contextmanager
def simulated(link: Path, faults: Faults | None = None, scale: float = 1.0) -> Iterator[None]:
    """A wearable of 100 Hz that lies flat for some seconds, behind `link`, in true time."""
    t, xyz = still(5.0, 100.0)
    device = SimulatedDevice(t, xyz, 100.0, scale=scale)
    ready = threading.Event()

    def run() -> None:
        with PseudoTerminal(link) as port:
            ready.set()
            play(port, FaultyLine(faults or Faults(), 1), device, 1.0)

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(30)
    yield


@contextmanager
def speaking(say: Say) -> Iterator[str]:
    """A port whose device says something every .02 s; its name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.02):
            speed = termios.tcgetattr(master)[4]
            baud = next((number for number in check.USUAL_BAUDS if getattr(termios, f"B{number}", 0) == speed), 0)
            try:
                os.write(master, say(baud))
            except BlockingIOError:  # nobody reads just now
                termios.tcflush(slave, termios.TCIFLUSH)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        over.set()
        thread.join(30)
        os.close(master)
        os.close(slave)


def lines() -> Callable[[], bytes]:
    """A device that lies flat and prints what it measures, with its time, whenever it is asked."""
    rows, begin = iter(printed(still(600), with_t_ms=False)), time.monotonic()
    return lambda: b"%.1f," % (1000 * (time.monotonic() - begin)) + next(rows)[1]


def test_a_healthy_device_gets_a_report_and_status_0(tmp_path: Path, command: Callable[..., Any]) -> None:
    with simulated(tmp_path / "wrist"):
        ended = command(main, "check", "--port", tmp_path / "wrist", "--seconds", 2, "--up", "z")
    report = ended.out.splitlines()
    assert (ended.status, report[-1].split(":")[0]) == (0, "healthy"), ended.out
    kinds = {line.split()[1]: line.split()[0] for line in report[:-1] if line and line[0] != " "}
    known = ("speaks", "hello", "ping", "start", "damaged", "lost", "rate", "gravity", "noise", "up")
    assert {kinds[kind] for kind in known} == {"fine"}
    assert {kinds[kind] for kind in ("drift", "wrap", "stat_beat")} == {"unknown"}
    assert "mmvq-bridge: 0 of 2 s, 0 bytes" in ended.err


def test_faults_give_status_1_and_scripts_an_object(tmp_path: Path, command: Callable[..., Any]) -> None:
    with simulated(tmp_path / "wrist", scale=4.0):
        ended = command(main, "check", "--port", tmp_path / "wrist", "--seconds", 2, "--json")
    told = json.loads(ended.out)
    assert ended.status == 1
    assert ended.out.count("\n") == 1
    assert (told["port"], told["baud"], told["speaks"], told["healthy"]) == (
        str(tmp_path / "wrist"), 115200, "frames", False,
    )  # fmt: skip
    assert [f["kind"] for f in told["findings"] if f["severity"] == "fault"] == ["gravity"]


def test_a_port_that_goes_away_is_told_and_listening_ends_in_time(tmp_path: Path, command: Callable[..., Any]) -> None:
    begin = time.monotonic()
    with simulated(tmp_path / "wrist", Faults(unplug_s=1.0)):
        ended = command(main, "check", "--port", tmp_path / "wrist", "--seconds", 2.5)
    assert ended.status == 1
    assert "fault    unplugged   the port went away at 1." in ended.out
    assert time.monotonic() - begin < 20


def test_a_port_that_comes_back_is_listened_to_again(tmp_path: Path, command: Callable[..., Any]) -> None:
    with simulated(tmp_path / "wrist", Faults(unplug_s=1.0, replug_s=0.3)):
        ended = command(main, "check", "--port", tmp_path / "wrist", "--seconds", 3)
    assert ended.status == 1
    assert "fault    replugged   the port went away " in ended.out


def test_the_right_baud_rate_is_found_and_listened_at(command: Callable[..., Any]) -> None:
    line, noise = lines(), np.random.default_rng(1)
    with speaking(lambda baud: line() if baud == 57600 else noise.bytes(150)) as port:
        ended = command(main, "check", "--port", port, "--seconds", 1)
    assert ended.status == 1
    assert "nothing can be understood at 115200 baud; the device speaks at 57600" in ended.out
    assert "give --baud 57600" in ended.out
    assert "fine     speaks      CSV lines t_ms,x,y,z" in ended.out
    assert "trying 9600 baud" in ended.err


def test_where_no_baud_rate_helps_it_is_said_which_were_tried(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "USUAL_BAUDS", (115200, 9600, 38400))
    noise = np.random.default_rng(1)
    with speaking(lambda baud: noise.bytes(150)) as port:
        ended = command(main, "check", "--port", port, "--seconds", 0.5)
    assert ended.status == 1
    assert "neither protocol frames nor CSV lines, nor at 9600, 38400" in " ".join(ended.out.split())


def test_a_device_that_prints_text_at_another_baud_rate_is_understood_to_do_so(command: Callable[..., Any]) -> None:
    noise = np.random.default_rng(1)
    with speaking(lambda baud: b"hello, world\r\n" if baud == 9600 else noise.bytes(150)) as port:
        ended = command(main, "check", "--port", port, "--seconds", 0.5)
    assert ended.status == 1
    assert "the device speaks at 9600" in ended.out
    assert "'hello, world'" in ended.out


def test_readable_text_is_not_searched_for_at_other_baud_rates(command: Callable[..., Any]) -> None:
    with speaking(lambda baud: b"hello, world\r\n") as port:
        ended = command(main, "check", "--port", port, "--seconds", 0.5)
    assert ended.status == 1
    assert "fault    text" in ended.out
    assert "trying" not in ended.err


def test_a_long_greeting_is_listened_to_until_its_device_speaks(command: Callable[..., Any]) -> None:
    line, greeting = lines(), [b"I (312) boot: still starting, please wait\r\n" * 5] * 30  # more than noise may have
    with speaking(lambda baud: greeting.pop() if greeting else line()) as port:
        ended = command(main, "check", "--port", port, "--seconds", 2)
    assert "fine     speaks      CSV lines" in ended.out


def test_at_the_right_baud_rate_none_is_searched(command: Callable[..., Any]) -> None:
    line = lines()
    with speaking(lambda baud: line() if baud == 9600 else b"\xff") as port:
        ended = command(main, "check", "--port", port, "--seconds", 0.5, "--baud", 9600)
    assert "fine     speaks      CSV lines" in ended.out
    assert "fault    baud" not in ended.out
    assert "trying" not in ended.err


def test_silence_is_a_fault(command: Callable[..., Any]) -> None:
    with speaking(lambda baud: b"") as port:
        ended = command(main, "check", "--port", port, "--seconds", 0.3)
    assert ended.status == 1
    assert "fault    silence     not a byte in 0." in ended.out
    assert "trying" not in ended.err


def test_the_axis_up_is_checked(command: Callable[..., Any]) -> None:
    line = lines()
    with speaking(lambda baud: line()) as port:
        ended = command(main, "check", "--port", port, "--seconds", 2, "--up=-z")
    assert FLAT[2] > 0
    assert ended.status == 1
    assert "fault    up          -z points up, but z measures gravity" in ended.out


def test_on_a_terminal_progress_is_one_line_that_is_overwritten() -> None:
    master, slave = os.openpty()
    environment = os.environ | {"PYTHONPATH": str(Path(mmvq_bridge.__file__).parents[1])}
    with speaking(lambda baud: b"") as port:
        words = [sys.executable, "-m", "mmvq_bridge", "check", "--port", port, "--seconds", "0.5"]
        ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=slave, env=environment, timeout=60)
    os.close(slave)
    shown = os.read(master, 4096)
    os.close(master)
    assert ended.returncode == 1
    assert shown.count(b"\r") >= 2
    assert shown.count(b"\n") == 1
    assert b"0 of 0.5 s, 0 bytes" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--port"),
        (["--port", "/dev/no such port"], "no such port"),
        (["--port", "x", "--seconds", "0"], "'0' is not between 0 and 86400"),
        (["--port", "x", "--seconds", "nan"], "'nan' is not between 0"),
        (["--port", "x", "--seconds", "soon"], "argument --seconds"),
        (["--port", "x", "--baud", "-9600"], "-9600 is no baud rate"),
        (["--port", "x", "--up", "w"], "invalid choice: 'w'"),
        (["--port", "x", "--up", "-z"], "expected one argument"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words: list[str], says: str, command: Callable[..., Any]) -> None:
    ended = command(main, "check", *words)
    assert ended.status == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert says in ended.err


def test_help_tells_the_exit_status(command: Callable[..., Any]) -> None:
    ended = command(main, "check", "--help")
    assert ended.status == 0
    assert "0 healthy (warnings or not), 1 faults found" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 120
