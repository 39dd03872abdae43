"""mmvq-bridge record in a terminal: keys, typed lines, Ctrl-C, and the terminal as it was before."""

import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from record_parts import (
    COMMAND,
    ENVIRONMENT,
    PATIENCE_S,
    device,
    part_of,
    rows_in,
    started,
    stretches,
    wait_until,
)

from mmvq_bridge.recordings import read_recordings

# A program in a terminal of its own, as a shell starts it: Ctrl-C reaches it.
IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


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
            time.sleep(0.3)
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
    with device(link, 200, speed=20.0):
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
