"""Standard input as a source: a whole file, or a live stream whose bytes arrive when they arrive."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from mmvq_bridge.recordings import RecordingFile
from mmvq_bridge.stream.records import END, Kind, Opening, Record, Tick, opened, wall_now
from mmvq_bridge.stream.stop import Stop
from mmvq_run.sources.content import Content, tell_pipe
from mmvq_run.sources.files import open_capture, open_recordings, paced

NAME: Final = "stdin"
LARGEST_READ: Final = 65_536
POLL_S: Final = 0.1

Piece = tuple[int, bytes]  # host_ns, bytes
Source = Iterator[Record | Tick] | RecordingFile


class Pipe:
    """Standard input, read as bytes come; nothing at the end, or on a wish to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._number = sys.stdin.fileno()

    def read(self, size: int, /) -> bytes:
        """Wait for bytes; at most `size` of them."""
        while (data := self.look(size)) is None:
            pass
        return data

    def look(self, size: int) -> bytes | None:
        """The same, but None where nothing came for a moment."""
        # Without select on pipes (Windows), a wish to stop is noticed with the next bytes.
        if os.name == "posix" and not select.select([self._number], [], [], POLL_S)[0]:
            return b"" if self._stop.asked else None
        return b"" if self._stop.asked else os.read(self._number, size)


def open_pipe(units: str, speed: float | None, stop: Stop, say: Callable[[str], None]) -> Source:
    """What comes through standard input, told by its first bytes. A capture is played at `speed`.

    BadInput for a file that cannot be read.
    """
    pipe = Pipe(stop)
    pieces: list[Piece] = []
    head = b""
    while (content := tell_pipe(head)) is None and (data := pipe.read(LARGEST_READ)):
        pieces.append((time.monotonic_ns(), data))
        head += data
    if content is Content.CAPTURE:
        return paced(open_capture(head, pipe, NAME, say), speed, stop)
    if content is Content.RECORDING:
        return open_recordings(head, pipe, NAME, units)
    return _live(pieces, pipe)


def _live(pieces: list[Piece], pipe: Pipe) -> Iterator[Record | Tick]:
    yield opened(pieces[0][0] if pieces else time.monotonic_ns(), Opening(NAME, wall_now()))
    for host_ns, data in pieces:
        yield Record(host_ns, Kind.BYTES, data)
    while (more := pipe.look(LARGEST_READ)) != b"":
        now = time.monotonic_ns()
        yield Tick(now) if more is None else Record(now, Kind.BYTES, more)
    yield Record(time.monotonic_ns(), Kind.CLOSED, END)
