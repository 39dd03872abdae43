"""mmvq-bridge record in a process of its own, at a simulated device's pseudo-terminal, typed to as a person would."""

import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import mmvq_bridge
from mmvq_bridge.cli import main
from mmvq_bridge.device import Block
from mmvq_bridge.faults import Faults, FaultyLine, faulty_device
from mmvq_bridge.link import PseudoTerminal, play
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings

RATE_HZ = 100.0
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(mmvq_bridge.__file__).parents[1])}
COMMAND = [sys.executable, "-m", "mmvq_bridge", "record"]
# A program in a terminal of its own, as a shell starts it: Ctrl-C reaches it.
IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
# A program on a disk with so little room.
ON_A_SMALL_DISK = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    "from mmvq_bridge.cli import main; sys.exit(main())"
)
PATIENCE_S = 60.0

started: list[subprocess.Popen[str] | subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What a failed test leaves running ends with it."""
    yield
    while started:
        process = started.pop()
        process.kill()
        process.wait(PATIENCE_S)


def wait_until(there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not there():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Device:
    """A simulated wearable behind `link`, whose sample i is i / 4096 g along x."""

    def __init__(self, link: Path, seconds: float, speed: float, faults: Faults, boot: int, rate_hz: float) -> None:
        self.booted_s = 0.0
        self._is_over = False
        device = faulty_device(self._blocks(round(seconds * rate_hz), rate_hz), rate_hz, faults, boot)
        ready = threading.Event()

        def run() -> None:
            with PseudoTerminal(link) as port:
                ready.set()
                play(port, FaultyLine(faults, boot), device, speed, self._boot)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE_S)

    def _blocks(self, n: int, rate_hz: float) -> Iterator[Block]:
        """A frame's samples each, so that it can end at once."""
        for first in range(0, n, 10):
            if self._is_over:
                return
            i = np.arange(first, min(n, first + 10))
            yield i / rate_hz, np.stack([i / 4096, 0 * i, 0 * i], axis=1)

    def _boot(self) -> None:
        self.booted_s = time.monotonic()

    def end(self) -> None:
        self._is_over = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@contextmanager
def device(
    link: Path, seconds: float, speed: float = math.inf, faults: Faults | None = None, boot: int = 1,
    rate_hz: float = RATE_HZ,
) -> Iterator[Device]:  # fmt: skip
    """A device that is played while a test listens, or until its recording is over."""
    played = Device(link, seconds, speed, faults or Faults(), boot, rate_hz)
    yield played
    played.end()


class Recorded:
    """The command, whose lines can be typed and read."""

    def __init__(self, *words: object, command: list[str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*(command or COMMAND), *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        started.append(self.process)
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line

    def type(self, line: str) -> float:
        """Type a line; gives the moment."""
        assert self.process.stdin
        now = time.monotonic()
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return now

    def says(self, what: str) -> None:
        wait_until(lambda: what in self.said or self.process.poll() is not None, self.said)
        assert what in self.said

    def keeps(self, out: Path, rows: int) -> None:
        """Wait until so many rows are in the part."""
        wait_until(lambda: rows_in(part_of(out)) >= rows or self.process.poll() is not None, self.said)
        assert rows_in(part_of(out)) >= rows, self.said

    def end(self, number: signal.Signals | None = None) -> int:
        """Its exit status, after a signal or by itself."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.stdout and self.process.stdin
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stdout.read() == ""
        assert "Traceback" not in self.said, self.said
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()
        return status


def recorded(*words: object) -> tuple[int, str]:
    """A run that ends by itself: exit status and what it said."""
    run = Recorded(*words)
    return run.end(), run.said


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a wrong call gets."""
    assert main(["record", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("mmvq-bridge: ")
    return said.err


def indices(recording: Recording) -> list[int]:
    """Which of the device's samples these are."""
    return np.rint(recording.xyz[:, 0] * 4096).astype(int).tolist()


def stretches(recording: Recording, file: RecordingFile) -> list[tuple[str, float, float]]:
    """Labels with the device's seconds of their first and last sample."""
    names = [*file.labels, ""]
    cuts = np.flatnonzero(np.diff(recording.label)) + 1
    i = np.array(indices(recording))
    parts = np.split(np.arange(len(i)), cuts)
    return [(names[recording.label[p[0]]], i[p[0]] / RATE_HZ, i[p[-1]] / RATE_HZ) for p in parts]


def part_of(out: Path) -> Path:
    return out.with_name(out.name + ".part")


def rows_in(part: Path) -> int:
    return part.read_bytes().count(b"\n") if part.exists() else 0


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "wrist"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "walk.parquet"


def test_labels_typed_into_a_pipe_are_at_the_samples_of_their_moments(link: Path, out: Path) -> None:
    with device(link, 60, speed=1.0) as played:
        run = Recorded(
            "--port", link, "--out", out, "--settle", 0, "--subject", "Anna B.", "--position", "left wrist",
            "--name", "kitchen",
        )  # fmt: skip
        run.keeps(out, 50)
        typed = []
        for line in ("walking", "sitting", "", "wlaking", "undo"):
            typed.append(run.type(line) - played.booted_s)
            time.sleep(0.7)
        run.type("quit")
        assert run.end() == 0
    file = read_recordings(out)
    assert (file.rate_hz, file.rate_declared, file.subjects, file.labels) == (
        100.0, True, ("Anna B.",), ("sitting", "walking"),
    )  # fmt: skip
    assert file.meta == {
        "mmvq.rate_hz": "100", "mmvq.device": "6d6d76712d73696d", "mmvq.position": "left wrist", "mmvq.name": "kitchen",
    }  # fmt: skip
    (recording,) = file.recordings
    assert indices(recording) == list(range(len(recording.t)))
    np.testing.assert_allclose(recording.t, np.arange(len(recording.t)) / RATE_HZ, atol=1e-6)
    found = stretches(recording, file)
    assert [name for name, *_ in found] == ["", "walking", "sitting", ""]
    for (_, begin, _), at in zip(found[1:], typed, strict=False):
        assert begin == pytest.approx(at, abs=0.2)
    assert "walking (new)" in run.said
    assert "wlaking taken back: no label now" in run.said
    assert list(out.parent.iterdir()) == [out]


def test_at_full_speed_no_sample_is_lost_and_a_lost_port_ends_with_the_file_written(link: Path, out: Path) -> None:
    with device(link, 300):
        status, said = recorded("--port", link, "--out", out, "--reconnect", 0, "--label", "walking")
    assert status == 1
    assert f"{out}: recording 0, 30000 samples at 100 Hz, 0 lost: walking 29" in said
    assert "bring it back and start again" in said.splitlines()[-1]
    file = read_recordings(out)
    assert indices(file.recordings[0]) == list(range(30_000))
    (first, label, last) = stretches(file.recordings[0], file)
    assert (first[0], label[0], last[0]) == ("", "walking", "")
    assert label[1] <= 2
    assert last[1] == pytest.approx(298, abs=0.01)


def test_ctrl_c_writes_the_file_and_is_130(link: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk.csv"
    with device(link, 200, speed=20.0):
        run = Recorded("--port", link, "--out", out)
        run.keeps(out, 300)
        assert run.end(signal.SIGINT) == 130
    assert len(read_recordings(out).recordings[0].t) >= 300
    assert not part_of(out).exists()
    assert "next: mmvq-train needs two labels" in run.said


def test_it_ends_by_itself_after_so_many_seconds_and_the_end_of_a_pipe_does_not_end_it(link: Path, out: Path) -> None:
    with device(link, 60, speed=10.0):
        run = Recorded("--port", link, "--out", out, "--seconds", 8)
        assert run.process.stdin
        run.process.stdin.write("walking")  # a last line without its end
        run.process.stdin.close()
        assert run.process.wait(PATIENCE_S) == 0
        run.end()
    file = read_recordings(out)
    assert file.recordings[0].t[-1] == pytest.approx(8, abs=0.5)
    assert file.labels == ("walking",)


def test_two_sessions_in_one_file_train_as_they_are(link: Path, out: Path) -> None:
    from mmvq_train.config import Config
    from mmvq_train.data import load_dataset

    said = []
    for boot, label in enumerate(("walking", "sitting")):
        with device(link, 120, boot=boot):
            append = ["--append"] if boot else []
            status, err = recorded("--port", link, "--out", out, "--label", label, "--reconnect", 0, *append)
            assert status == 1
            said.append(err)
    assert "next: mmvq-train needs two labels" in said[0]
    assert f"{out}: added recording 1, 12000 samples at 100 Hz, 0 lost" in said[1]
    assert f"{out}: 2 recordings in it now: sitting 11" in said[1]
    assert f"next: mmvq-train --data {out}" in said[1]
    data = load_dataset(Config(data=str(out)))
    assert data.labels == ("sitting", "walking")
    assert len(data.train) > 5
    assert read_recordings(out).meta["mmvq.device"] == "6d6d76712d73696d"


def test_another_rate_is_not_added_to_a_file_and_that_is_one_line(link: Path, out: Path) -> None:
    with device(link, 20):
        recorded("--port", link, "--out", out, "--reconnect", 0)
    before = out.read_bytes()
    with device(link, 20, rate_hz=50.0):
        status, said = recorded("--port", link, "--out", out, "--append", "--reconnect", 0)
    assert status == 2
    assert said.splitlines()[-1] == "mmvq-bridge: the device has 50 Hz, the file 100 Hz: give another --out"
    assert out.read_bytes() == before
    assert not part_of(out).exists()


def test_after_kill_minus_9_the_file_is_made_of_what_was_heard(
    link: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with device(link, 200, speed=20.0):
        run = Recorded("--port", link, "--out", out, "--settle", "0.5", "--subject", "anna")
        run.keeps(out, 200)
        run.type("walking")
        run.says("walking (new)")
        run.keeps(out, 600)
        assert "another run still writes it; end that one" in refused(capsys, "--out", out, "--finish")
        assert run.end(signal.SIGKILL) == -signal.SIGKILL
    assert not out.exists()
    finishing = f"mmvq-bridge record --out {out} --finish"
    assert f"finish it with {finishing}" in refused(capsys, "--port", link, "--out", out)
    part = part_of(out)
    part.write_bytes(part.read_bytes()[:-7])  # as if the disk had taken half a row
    whole_rows = part.read_bytes().count(b"\n0,anna,,")
    assert main(shlex.split(finishing)[1:]) == 0
    assert f"{out}: recording 0, " in capsys.readouterr().err
    file = read_recordings(out)
    assert indices(file.recordings[0]) == list(range(whole_rows - 1))
    (before, label, after) = stretches(file.recordings[0], file)
    assert (before[0], label[0], after[0]) == ("", "walking", "")
    assert after[2] - after[1] == pytest.approx(0.5, abs=0.02)
    assert file.subjects == ("anna",)
    assert not part.exists()


def test_a_reset_begins_another_recording_in_which_the_label_goes_on(link: Path, out: Path) -> None:
    with device(link, 20, speed=10.0, faults=Faults(reset_s=8)):
        _, said = recorded("--port", link, "--out", out, "--label", "walking", "--settle", 0, "--reconnect", 0)
    file = read_recordings(out)
    assert [r.id for r in file.recordings] == [0, 1]
    first, second = map(indices, file.recordings)
    assert first == list(range(len(first)))
    assert second == list(range(second[0], 2000))
    assert second[0] - first[-1] <= 10  # the frame that the reset took
    assert [stretches(r, file)[0][0] for r in file.recordings] == ["walking", "walking"]
    assert all(r.t[0] == 0 and (np.diff(r.t) >= 0).all() for r in file.recordings)
    assert "the device has started anew: recording 1 from here on" in said


def test_an_unplugged_device_is_waited_for_and_what_it_sends_then_is_another_recording(link: Path, out: Path) -> None:
    with device(link, 40, speed=10.0, faults=Faults(unplug_s=15, replug_s=5)):
        status, said = recorded("--port", link, "--out", out, "--label", "walking", "--reconnect", 2)
    assert status == 1
    assert "lost (" in said
    assert "back again" in said
    file = read_recordings(out)
    assert len(file.recordings) == 2
    first, second = map(indices, file.recordings)
    assert first == list(range(1500))
    assert second == list(range(second[0], second[0] + len(second)))
    assert second[0] >= 2000


@contextmanager
def printing(lines: bytes) -> Iterator[tuple[str, threading.Event]]:
    """A board that prints lines as fast as they are read, once the event is set; the port's name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    go = threading.Event()

    def run() -> None:
        go.wait(PATIENCE_S)
        left = memoryview(lines)
        while left:
            left = left[os.write(master, left[:4000]) :]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield os.ttyname(slave), go
    go.set()
    thread.join(PATIENCE_S)
    os.close(slave)
    os.close(master)


def test_lines_of_a_hobby_board_are_recorded_in_g(tmp_path: Path) -> None:
    out = tmp_path / "board.csv"
    lines = b"hello, I am a board\r\n" + b"".join(b"%d,0.00,%.2f,9.81\r\n" % (20 * i, i / 500) for i in range(1000))
    with printing(lines) as (port, go):
        run = Recorded("--port", port, "--out", out, "--label", "lying", "--settle", 0)
        run.says("records to")  # opening the port has emptied it
        go.set()
        run.keeps(out, 1004)
        run.type("quit")
        assert run.end() == 0
    file = read_recordings(out)
    (recording,) = file.recordings
    np.testing.assert_allclose(recording.t, np.arange(1000) / 50)
    np.testing.assert_allclose(recording.xyz[:, 2], 9.81 / 9.80665, rtol=1e-6)
    assert stretches(recording, file)[0][0] == "lying"
    assert file.rate_hz == pytest.approx(50)
    assert "taken for m/s²" in run.said


def test_a_bad_label_is_told_and_the_one_before_stays(link: Path, out: Path) -> None:
    with device(link, 100, speed=10.0):
        run = Recorded("--port", link, "--out", out, "--label", "walking")
        for line, says in [
            ("x" * 5000, "characters; at most 60 make one; the label is still walking"),
            ("a\x1b[2Jb", "cannot be printed; use letters, digits and blanks; the label is still walking"),
            ("undo", "walking taken back"),
            ("undo", "nothing to take back"),
        ]:
            run.type(line)
            run.says(says)
        run.keeps(out, 20)
        run.type("quit")
        assert run.end() == 0
    assert read_recordings(out).labels == ()


def test_when_nothing_comes_that_is_told_and_no_file_is_left(tmp_path: Path) -> None:
    out = tmp_path / "walk.csv"
    with printing(b"") as (port, _):
        run = Recorded("--port", port, "--out", out)
        run.says("nothing came for 3 s; is the device on, and is it the right port?")
        run.type("quit")
        assert run.end() == 1
    assert run.said.splitlines()[-1].startswith(f"mmvq-bridge: no sample came, so there is no {out}; ")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_it_with_all_whole_rows_kept(
    link: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "walk.csv"
    with device(link, 60):
        run = Recorded(
            "record", "--port", link, "--out", out, "--label", "walking",
            command=[sys.executable, "-c", ON_A_SMALL_DISK],
        )  # fmt: skip
        assert run.end() == 1
    assert f"File too large; make room, then mmvq-bridge record --out {out} --finish" in run.said.splitlines()[-1]
    assert main(["record", "--out", str(out), "--finish"]) == 0
    capsys.readouterr()
    count = len(read_recordings(out).recordings[0].t)
    assert indices(read_recordings(out).recordings[0]) == list(range(count))
    assert count > 400


class Terminal:
    """A terminal with the command in it; what stands on it is read all the time."""

    def __init__(self, *words: object) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *COMMAND, *map(str, words)],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True, env=ENVIRONMENT,
        )  # fmt: skip
        started.append(self.process)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while b"\xff" not in (data := os.read(self.master, 65_536)):
            self.written += data

    def press(self, keys: str) -> float:
        now = time.monotonic()
        os.write(self.master, keys.encode())
        return now

    def shows(self, what: str) -> None:
        wait_until(lambda: what in self.written.decode() or self.process.poll() is not None, repr(self.written))
        assert what in self.written.decode()

    def end(self) -> int:
        """The exit status; the terminal is as it was."""
        status = self.process.wait(PATIENCE_S)
        assert termios.tcgetattr(self.slave) == self.before
        os.write(self.slave, b"\xff")
        self._reader.join(PATIENCE_S)
        os.close(self.slave)
        os.close(self.master)
        assert b"Traceback" not in self.written
        return status


def test_a_key_each_on_a_terminal_changes_the_label_at_its_moment(link: Path, out: Path) -> None:
    with device(link, 60, speed=1.0) as played:
        term = Terminal("--port", link, "--out", out, "--settle", 0, "--keys", "w=walking,s=sitting")
        term.shows("samples, ")
        pressed = []
        for key in ("w", "s", " ", "w"):
            pressed.append(term.press(key) - played.booted_s)
            time.sleep(0.5)
        term.press("x")
        term.shows("no key 'x'; keys: w walking, s sitting, blank no label")
        term.press("\x7f")
        term.shows("walking taken back: no label now")
        term.press("\x04")
        assert term.end() == 0
    file = read_recordings(out)
    found = stretches(file.recordings[0], file)
    assert [name for name, *_ in found] == ["", "walking", "sitting", ""]
    for (_, begin, _), at in zip(found[1:], pressed, strict=False):
        assert begin == pytest.approx(at, abs=0.2)


def test_a_label_typed_on_a_terminal_is_seen_and_can_be_mended(link: Path, out: Path) -> None:
    with device(link, 200, speed=10.0):
        term = Terminal("--port", link, "--out", out)
        term.shows("samples, ")
        term.press("wlak\x7f\x7f\x7falk")
        term.shows(" > walk")
        term.press("ing\r")
        term.shows("walking (new)")
        term.press("\x1a\x13")  # Ctrl-Z and Ctrl-S stop nothing
        seen = rows_in(part_of(out))
        wait_until(lambda: rows_in(part_of(out)) > seen + 500, repr(term.written))
        term.press("\x03")
        assert term.end() == 130
    assert read_recordings(out).labels == ("walking",)
    assert re.search(rb"\r\x1b\[2K\d+ s, \d+ samples", term.written)


def test_an_error_leaves_the_terminal_as_it_was(link: Path, out: Path) -> None:
    with device(link, 5):
        term = Terminal("--port", link, "--out", out, "--keys", "w=walking", "--reconnect", 0)
        assert term.end() == 1
    assert len(read_recordings(out).recordings[0].t) == 500


def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, new = tmp_path / "there.csv", tmp_path / "new.csv"
    there.write_text("recording,subject,label,t_ms,x,y,z\n0,a,,0,0,0,1\n0,a,,50,0,0,1\n")
    port = ["--port", tmp_path / "none"]
    for words, says in [
        (["--out", new], "--port is missing"),
        (port, "--out"),
        ([*port, "--out", there], f"{there}: there already; add to it with --append"),
        ([*port, "--out", tmp_path / "no" / "a.csv"], "no folder"),
        ([*port, "--out", tmp_path], "a folder; give --out the name of a file in it"),
        ([*port, "--out", ""], "a folder"),
        ([*port, "--out", new], "no such port"),
        ([*port, "--out", new, "--label", "a\nb"], "cannot be printed"),
        ([*port, "--out", new, "--label", "undo"], "what one types to undo"),
        ([*port, "--out", new, "--subject", "x" * 61], "--subject 'xxxxxxxxxxxxxxxxxxxx'... has 61 characters"),
        ([*port, "--out", new, "--keys", "w=walking,w=waving"], "'w' is walking and waving"),
        ([*port, "--out", new, "--keys", "w=walking"], "--keys needs a terminal to press them at"),
        ([*port, "--out", new, "--position", "wrist"], "CSV has no place for --position"),
        ([*port, "--out", new, "--units", "mg"], "--units 'mg' is unknown"),
        ([*port, "--out", new, "--units", "counts:0"], "counts:0"),
        ([*port, "--out", new, "--seconds", 0], "0 is not above 0"),
        ([*port, "--out", new, "--settle", -1], "-1 is no number of seconds"),
        ([*port, "--out", new, "--baud", 0], "--baud 0 is no speed"),
        (["--out", new, "--finish"], f"{new}.part: not there, so there is nothing to finish"),
        ([*port, "--out", Path(__file__), "--append"], "column recording is missing"),
    ]:
        assert says in refused(capsys, *words)
    monkeypatch.setattr("mmvq_bridge.commands.record.find_spec", {}.get)
    assert "needs termios, which this system lacks" in refused(capsys, *port, "--out", new, "--keys", "w=walking")
    assert sorted(tmp_path.iterdir()) == [there]


def test_a_files_position_is_not_changed_by_adding_to_it(
    link: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with device(link, 5):
        recorded("--port", link, "--out", out, "--position", "left wrist", "--reconnect", 0)
    said = refused(capsys, "--port", link, "--out", out, "--append", "--position", "ankle")
    assert "has --position 'left wrist', and a file has one" in said


def test_help_tells_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["record", "--help"])
    said = capsys.readouterr().out
    assert "130 on Ctrl-C (after the file is written)" in said
    assert "--finish" in said
