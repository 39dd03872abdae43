"""Files as sources: captures, raw streams and recordings; and the pace at which they are played."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.device_file import read_device_file
from mmvq_bridge.recordings import RecordingFile, parse_recordings
from mmvq_bridge.stream.records import END, MAGIC, Kind, Opening, Readable, Record, Tick, opened, read_capture
from mmvq_bridge.stream.stop import Stop
from mmvq_run.sources.content import HEAD, Content, tell

CHUNK: Final = 4096  # bytes of a raw stream at a time

Say = Callable[[str], None]


def open_file(path: str, units: str, say: Say) -> Iterator[Record] | RecordingFile:
    """What `path` holds, ready to be played. BadInput if it is not there, or nothing that can be read."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}; give the path of a file with --input") from None
        head = file.read(HEAD)
        content = tell(head, path)
        if content is Content.RECORDING:
            return open_recordings(head, file, path, units)
        if content is Content.DEVICE:
            return read_device_file(path)
        stack.pop_all()  # the records read on
        records = open_capture(head, file, path, say) if content is Content.CAPTURE else _raw(head, file, path, say)
        return _closing(records, file)


def open_capture(head: bytes, rest: Readable, path: str, say: Say) -> Iterator[Record]:
    """The records of a capture of which `head` was read already. BadInput where it is damaged."""
    return read_capture(Joined(head[len(MAGIC) :], rest), path, say)


def open_recordings(head: bytes, rest: Readable, path: str, units: str) -> RecordingFile:
    """The recordings of a file of which `head` was read already. BadInput for what the format forbids."""
    pieces = [head]
    while data := rest.read(1 << 20):
        pieces.append(data)
    return parse_recordings(b"".join(pieces), path, units)


def paced(records: Iterator[Record], speed: float | None, stop: Stop) -> Iterator[Record | Tick]:
    """Records at `speed` times the pace at which they came (None: as fast as possible), until a wish to stop."""
    start = time.monotonic()
    first_ns: int | None = None
    for record in records:
        if first_ns is None:
            first_ns = record.host_ns
        if speed is not None:
            stop.sleep((record.host_ns - first_ns) / 1e9 / speed - (time.monotonic() - start))
        if stop.asked:
            return
        yield record


class Joined:
    """What was read already, and then the rest."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""
        return self._head.read(size) or self._rest.read(size)


def _closing(records: Iterator[Record], file: BinaryIO) -> Iterator[Record]:
    with file:
        yield from records


def _raw(head: bytes, rest: Readable, path: str, say: Say) -> Iterator[Record]:
    """A dump of a stream: nobody knows when its bytes arrived."""
    say(f"{path}: bytes without arrival times; gaps across resets cannot be measured")
    stream = Joined(head, rest)
    yield opened(0, Opening(path, None, arrival=False))
    while data := stream.read(CHUNK):
        yield Record(0, Kind.BYTES, data)
    yield Record(0, Kind.CLOSED, END)
