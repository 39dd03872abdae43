"""What a person sees of a recording, on stderr: on a terminal one line that is written over, else a line now and then.

Lines that are told appear above it. Whoever types writes at its end, from the keyboard's thread.
"""

import os
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TextIO

TERMINAL_S: Final = 0.25  # between two drawings: enough to see that it goes on
LOG_S: Final = 10.0  # between two lines where they stay
ERASE: Final = "\r\x1b[2K"
NARROW: Final = 80  # columns, where a terminal does not say


class Screen:
    """Lines and a status, between `__enter__` and `__exit__`, which leaves the lines only."""

    def __init__(self, out: TextIO, name: str) -> None:
        """name: what lines begin with."""
        self._out, self._name = out, name
        self._terminal = out.isatty()
        self._status = self._typed = ""
        self._due_ns = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._status = self._typed = ""
            self._draw()

    def say(self, line: str) -> None:
        """A line that stays."""
        with self._lock:
            self._write(f"{ERASE if self._terminal else ''}{self._name}: {line}\n")
            self._draw()

    def show(self, status: str, host_ns: int) -> None:
        """The status at `host_ns`, if it is time to show it."""
        if host_ns < self._due_ns:
            return
        first = self._due_ns == 0
        self._due_ns = host_ns + round((TERMINAL_S if self._terminal else LOG_S) * 1e9)
        with self._lock:
            self._status = status
            if self._terminal:
                self._draw()
            elif not first:
                self._write(f"{self._name}: {status}\n")

    def echo(self, text: str) -> None:
        """The line that a person is typing."""
        with self._lock:
            self._typed = text
            self._draw()

    def _draw(self) -> None:
        if not self._terminal:
            return
        typed = f" > {self._typed}" if self._typed else ""
        room = self._columns() - 1
        self._write(ERASE + (self._status[: max(0, room - len(typed))] + typed)[-room:])

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._out.fileno()).columns or NARROW
        except OSError:
            return NARROW

    def _write(self, text: str) -> None:
        with suppress(OSError):  # that nobody looks on any more ends no recording
            self._out.write(text)
            self._out.flush()
