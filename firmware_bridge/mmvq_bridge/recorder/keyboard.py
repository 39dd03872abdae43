"""What a person types, as words of `labels` with the moment of each key.

On a terminal keys come one by one and unseen (cbreak): the line that is being typed is shown by whoever shows the rest,
so that neither writes over the other. From a pipe, lines are read as they come. The terminal is as it was afterwards,
whatever ended it; Ctrl-C is a signal still.
"""

import codecs
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Final, Protocol, Self

from mmvq_bridge.recorder.labels import END_KEY, NONE, QUIT, UNDO
from mmvq_bridge.stream.stop import Stop

STDIN: Final = 0
BACKSPACES: Final = "\x7f\b"
CTRL_D: Final = "\x04"
CTRL_U: Final = "\x15"
ESCAPES: Final = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O[A-Z])?")  # arrows and the like
MOST_TYPED: Final = 1024  # bytes at a time, and characters of a line: who pipes a film in gets an error, not no memory


class Reader(Protocol):
    """Keys to words. text: what is typed so far and no word yet; help: what to type, in a line."""

    text: str
    help: str

    def feed(self, typed: str) -> list[str]:
        """Words that these characters complete."""
        ...


class LineReader:
    """A word a line. On a terminal lines can be mended, and Ctrl-D ends all."""

    help = "a label and Enter begins it, Enter alone ends it, undo takes it back, quit ends the recording"

    def __init__(self, terminal: bool) -> None:
        self.text = ""
        self._terminal = terminal
        self._last = ""

    def feed(self, typed: str) -> list[str]:
        """Words that these characters complete."""
        words = []
        for key in ESCAPES.sub("", typed) if self._terminal else typed:
            last, self._last = self._last, key
            if key in "\r\n":
                if (last, key) != ("\r", "\n"):  # which is one end of a line
                    words.append(self.text.strip())
                    self.text = ""
            elif self._terminal and key == CTRL_D:
                words.append(QUIT)
            elif self._terminal and key in BACKSPACES:
                self.text = self.text[:-1]
            elif self._terminal and key == CTRL_U:
                self.text = ""
            elif len(self.text) < MOST_TYPED and (key.isprintable() or not self._terminal):
                self.text += key
        return words


class KeyReader:
    """A word a key: those of `keys`, blank to end a label, Backspace to take it back, Ctrl-D to end all."""

    def __init__(self, keys: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.text = ""
        self._words = {**keys, END_KEY: NONE, CTRL_D: QUIT} | dict.fromkeys(BACKSPACES, UNDO)
        told = ", ".join(f"{key} {label}" for key, label in keys.items())
        self.help = f"keys: {told}, blank no label, Backspace takes it back, Ctrl-D ends the recording"
        self._say = say

    def feed(self, typed: str) -> list[str]:
        """Words that these characters are; a key that is none is told."""
        pressed = ESCAPES.sub("", typed)
        unknown = [key for key in pressed if key not in self._words]
        if unknown:
            self._say(f"no key {unknown[0]!r}; {self.help}")
        return [self._words[key] for key in pressed if key in self._words]


def single_keys() -> bool:
    """Whether standard input is a terminal that gives its keys one by one, and to us (not to a job before us)."""
    return sys.stdin is not None and find_spec("termios") is not None and os.isatty(STDIN) and _is_ours()


class Keyboard:
    """Standard input, listened to by a thread between `__enter__` and `__exit__`, so that a key's moment is its own.

    has_quit: whether the end was typed; then `stop` is asked, too.
    """

    def __init__(self, reader: Reader, terminal: bool, stop: Stop, show: Callable[[str], None]) -> None:
        """terminal: take keys one by one. show: gets the line that is being typed whenever it changes."""
        self.has_quit = False
        self._reader, self._terminal, self._stop, self._show = reader, terminal, stop, show
        self._words: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._open = ExitStack()
        self._is_over = False

    def __enter__(self) -> Self:
        """Begin to listen."""
        if self._terminal:
            self._open.enter_context(_cbreak())
        if sys.stdin is not None and _is_ours():
            threading.Thread(target=self._listen, daemon=True).start()  # it may wait for a key for ever
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The terminal is as it was."""
        self._is_over = True
        self._open.close()

    def words(self) -> list[tuple[int, str]]:
        """Words typed since the last call, each with the host time of its last key, in nanoseconds."""
        return [self._words.get() for _ in range(self._words.qsize())]

    def _listen(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        data = b"..."
        with suppress(OSError):  # a terminal that is gone
            while data:
                data = os.read(STDIN, MOST_TYPED)
                now = time.monotonic_ns()
                if self._is_over:
                    return
                words = self._reader.feed(decoder.decode(data) or "\n" * bool(self._reader.text and not data))
                if not data and os.isatty(STDIN):  # Ctrl-D; the end of a pipe only means that no more words come
                    words.append(QUIT)
                for word in words:
                    if word == QUIT:
                        self.has_quit = self._stop.asked = True
                    else:
                        self._words.put((now, word))
                self._show(self._reader.text)


def _is_ours() -> bool:
    """Whether a terminal, if it is one, would not stop us for reading from it (a job in the background)."""
    try:
        return not os.isatty(STDIN) or os.tcgetpgrp(STDIN) == os.getpgrp()
    except (AttributeError, OSError):  # no jobs here
        return True


@contextmanager
def _cbreak() -> Iterator[None]:
    """Keys at once and without echo. Ctrl-S and Ctrl-Z do nothing: while we stood still, samples would be lost."""
    import termios

    before = termios.tcgetattr(STDIN)
    mode = termios.tcgetattr(STDIN)
    mode[0] &= ~termios.IXON
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    mode[6][termios.VMIN], mode[6][termios.VTIME], mode[6][termios.VSUSP] = 1, 0, b"\0"
    termios.tcsetattr(STDIN, termios.TCSANOW, mode)
    try:
        yield
    finally:
        with suppress(termios.error):  # it is gone
            termios.tcsetattr(STDIN, termios.TCSANOW, before)
