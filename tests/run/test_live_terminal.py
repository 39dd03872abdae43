"""The live view on a pseudo-terminal: drawn in place, only when there is something new, and gone without a trace."""

import io
import os
import pty
import re
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from rich.console import Console
from wearing import RATE, frames, hello, play, records, signal

from mmvq_run.sinks import live
from mmvq_run.sinks.live import Codes, LiveView, suits

CURVE = [0.0, 1.0, 0.0]
CODES = Codes(("axes",) * 3, ([CURVE],) * 3)  # of the tiny model


@pytest.fixture(scope="module")
def worn(model):
    """The events of 20 s of sitting and 25 s of walking."""
    return play(model, records([hello(), *frames(signal(("sitting", 20), ("walking", 25)))]))


class Terminal:
    """A pseudo-terminal and everything that was written to it."""

    def __init__(self):
        self.master, slave = pty.openpty()
        self.written = b""
        self.console = Console(
            file=os.fdopen(slave, "w", encoding="utf-8"), force_terminal=True, width=60, height=24,
            _environ={"TERM": "xterm-256color"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        try:
            while data := os.read(self.master, 65_536):
                self.written += data
        except OSError:
            pass  # Linux: the last one who had it open is gone

    def close(self):
        self.console.file.close()
        self._reader.join()
        os.close(self.master)

    def wait_for(self, there):
        deadline = time.monotonic() + 20
        while not there():
            assert time.monotonic() < deadline, self.written
            time.sleep(0.01)

    @property
    def lines(self):
        """What a person sees: lines after the cursor went up, and lines were erased."""
        rows, at = [""], 0
        for token in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\n|\r|[^\x1b\r\n]+", self.written.decode()):
            if token == "\n":
                at += 1
                rows += [""] * (at + 1 - len(rows))
            elif token.endswith("A") and token[0] == "\x1b":
                at -= int(token[2:-1])
            elif token == "\x1b[2K":
                rows[at] = ""
            elif token[0] not in "\x1b\r":
                rows[at] += token
        return [row for row in rows if row]


@contextmanager
def terminal():
    opened = Terminal()
    try:
        yield opened
    finally:
        if not opened.console.file.closed:
            opened.close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(live, "PERIOD_S", 0.01)


def test_it_is_drawn_in_place_and_leaves_the_summary(worn, quick):
    with terminal() as term:
        with LiveView(CODES, term.console) as shows:
            for event in worn[:-1]:
                shows.write(event)
            term.wait_for(lambda: any("before" in seen for seen in term.lines))
            assert sum(seen.startswith("tiny") for seen in term.lines) == 1
            shows.see(np.arange(100) / RATE, np.ones((100, 3)))
            term.wait_for(lambda: any("⣀" in seen for seen in term.lines))
            shows.write(worn[-1])
        term.close()
        assert [seen.strip() for seen in term.lines] == [
            "tiny · 0:00:45", "26 s sitting", "24 s walking", "36 windows, 0 samples lost, 0 bad frames"
        ]  # fmt: skip


def test_nothing_is_drawn_while_nothing_changes(worn, quick):
    with terminal() as term, LiveView(CODES, term.console) as shows:
        shows.write(worn[0])
        term.wait_for(lambda: b"tiny" in term.written)
        drawn = len(term.written)
        time.sleep(0.1)
        assert len(term.written) == drawn
        shows.write(worn[1])
        term.wait_for(lambda: b"connected" in term.written)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_terminal_is_as_it_was_after_an_interrupt_or_error(worn, quick, error):
    threads = threading.active_count()
    with terminal() as term:
        with pytest.raises(error), LiveView(CODES, term.console) as shows:
            shows.write(worn[0])
            term.wait_for(lambda: b"tiny" in term.written)
            raise error
        term.close()
        assert term.lines == []
        assert term.written.rindex(b"\x1b[?25h") > term.written.rindex(b"\x1b[?25l")
        assert b"\x1b[?1049h" not in term.written
    assert threading.active_count() == threads


def test_a_terminal_that_is_gone_ends_the_run_and_not_silently(worn, quick):
    master, slave = pty.openpty()
    console = Console(file=os.fdopen(slave, "w"), force_terminal=True, width=60, height=24)
    with pytest.raises(OSError), LiveView(CODES, console) as shows:
        os.close(master)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            shows.write(worn[0])
            time.sleep(0.01)
    with pytest.raises(OSError):
        console.file.close()


def test_it_suits_terminals_that_move_their_cursor_and_take_its_characters():
    def console(encoding="utf-8", term="xterm", terminal=True):
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        return Console(file=file, force_terminal=terminal, _environ={"TERM": term})

    assert suits(console())
    assert not suits(console(terminal=False))
    assert not suits(console(term="dumb"))
    assert not suits(console(encoding="latin-1"))
