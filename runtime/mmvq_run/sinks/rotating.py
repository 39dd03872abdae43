"""A file of JSON lines that never grows too large.

    events.jsonl      the newest lines
    events.jsonl.1    older ones
    ...
    events.jsonl.4    the oldest; the next to come pushes it out

Each line is whole, whatever happens: what a full disk cut short is taken back at once, what a killed run left is cut
off when the file is opened again. One run at a time may write it.
"""

import os
import stat
from bisect import bisect_right
from collections.abc import Sequence
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_run.sinks.ids import Numbered
from mmvq_run.sinks.kept import Say

if os.name == "posix":
    import fcntl

MARK: Final = b'{"id":"'  # how each line begins: what begins otherwise is somebody else's file, and is left alone
BLOCK: Final = 65_536  # bytes to look through at a time for the last whole line


class RotatingFile:
    """A store of lines in `path` and files - 1 older ones beside it, each of at most `limit` bytes."""

    def __init__(self, path: Path, limit: int, files: int, say: Say) -> None:
        """BadInput if `path` cannot be written, is in use, or holds something else."""
        self.name = str(path)
        self._path = path
        self._limit = limit
        self._files = files
        self._say = say
        self._out: FileIO | None = None
        self._size = 0
        try:
            self._reopen()
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}; give --sink a file that can be written") from None

    def deliver(self, events: Sequence[Numbered]) -> int:
        """Write and sync as many lines as the newest file takes, one at least; OSError leaves no trace of them."""
        lines = [event.line + b"\n" for event in events]
        out = self._out or self._reopen()
        if self._size and self._size + len(lines[0]) > self._limit:
            out = self._rotate(out)
        ends = list(accumulate(map(len, lines), initial=self._size))[1:]
        count = max(1, bisect_right(ends, self._limit))
        try:
            _write(out, b"".join(lines[:count]))
            os.fsync(out)
        except OSError:
            self._out = None
            with out:
                out.truncate(self._size)
            raise
        self._size = ends[count - 1]
        return count

    def idle(self) -> None:
        """Nothing to look after."""

    def close(self) -> None:
        """The end."""
        if self._out is not None:
            self._out.close()

    def _rotate(self, full: FileIO) -> FileIO:
        """Shift each file to the next number. A run killed half-way leaves a number out, and loses no file."""
        self._out = None
        full.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        return self._reopen()

    def _reopen(self) -> FileIO:
        out = self._path.open("ab+", buffering=0)
        try:
            _claim(out, self._path)
            self._size = _whole(out, self._path)
            torn = out.seek(0, os.SEEK_END) - self._size
            if torn:
                out.truncate(self._size)
                self._say(f"{self._path}: a run that was killed left half a line; its {torn} bytes are cut off")
        except BaseException:
            out.close()
            raise
        self._out = out
        return out


def _claim(out: FileIO, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(out.fileno()).st_mode):
        raise BadInput(f"{path}: not a regular file; give --sink another name")
    if os.name == "posix":
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"{path}: another run writes it; give --sink another name") from None


def _whole(file: FileIO, path: Path) -> int:
    """How many bytes of the file are whole lines. BadInput if they are no lines of a sink."""
    file.seek(0)
    head = file.read(len(MARK))
    if not MARK.startswith(head):
        raise BadInput(f"{path}: holds something other than a sink's events; give --sink another name")
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        start = max(0, at - BLOCK)
        file.seek(start)
        end = file.read(at - start).rfind(b"\n")
        if end >= 0:
            return start + end + 1
        at = start
    return 0


def _write(out: FileIO, data: bytes) -> None:
    """All of it: a disk that fills up takes a part first, and says why with the next."""
    left = memoryview(data)
    while left:
        left = left[out.write(left) :]
