"""mmvq-bridge record in a process of its own, the devices that it listens to, and what it wrote."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest

import mmvq_bridge
from mmvq_bridge.cli import main
from mmvq_bridge.device import Block
from mmvq_bridge.faults import Faults, FaultyLine, faulty_device
from mmvq_bridge.link import PseudoTerminal, play
from mmvq_bridge.recordings import Recording, RecordingFile

RATE_HZ: Final = 100.0
ENVIRONMENT: Final = os.environ | {"PYTHONPATH": str(Path(mmvq_bridge.__file__).parents[1])}
COMMAND: Final = (sys.executable, "-m", "mmvq_bridge", "record")
PATIENCE_S: Final = 60.0

started: list[subprocess.Popen[str] | subprocess.Popen[bytes]] = []


def end_all() -> None:
    """End what a failed test left running."""
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
