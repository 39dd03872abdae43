"""Writing a capture: to FILE.part while it grows, renamed to FILE at the end, whatever ended it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from mmvq_bridge.command import BadInput
from mmvq_bridge.stream.records import MAGIC, Record, Tick, encode

Say = Callable[[str], None]


class CaptureWriter:
    """Appends records to an unbuffered file, so that a killed run leaves what it heard.

    On a disk that is full, or away, the capture ends with its last whole record and `say` gets a line: a stream is not
    stopped because it cannot be kept.
    """

    def __init__(self, out: FileIO, say: Say) -> None:
        self._out = out
        self._say = say
        self._size = 0
        self._broken = False
        self._append(MAGIC)

    def write(self, record: Record) -> None:
        """Append a record."""
        if not self._broken:
            self._append(encode(record))

    def _append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[self._out.write(left) :]
            self._size += len(data)
        except OSError as error:
            self._broken = True
            self._out.truncate(self._size)
            self._say(f"{self._out.name}: {error.strerror}; the capture ends here, make room and record again")


@contextmanager
def capture_to(path: Path | str, say: Say) -> Iterator[CaptureWriter]:
    """A writer to `path`. BadInput if it is there already or cannot be made."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    for there in (target, part):
        if there.exists():
            what = "left by a run that was killed, and replayable" if there == part else "there already"
            raise BadInput(f"{there}: {what}; move it away, or give another name with --record")
    try:
        out = part.open("xb", buffering=0)
    except OSError as error:
        raise BadInput(f"{part}: {error.strerror or error}; give another name with --record") from None
    try:
        with out:
            yield CaptureWriter(out, say)
    finally:
        part.rename(target)


def capture_of(folder: str, device: str) -> Path:
    """Where one of several wearables is kept: its name, without what a file's name cannot hold, and a number if it was
    there before."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in device).strip("-.")
    path, number = Path(folder, f"{name or 'device'}.mmvqcap"), 1
    while path.exists() or path.with_name(path.name + ".part").exists():
        number += 1
        path = Path(folder, f"{name or 'device'}-{number}.mmvqcap")
    return path


@contextmanager
def recorded(path: str, source: Iterable[Record | Tick], say: Say) -> Iterator[Iterator[Record | Tick]]:
    """The same records, each kept in a capture at `path` before it is passed on. BadInput as for `capture_to`."""

    def keep(writer: CaptureWriter) -> Iterator[Record | Tick]:
        for item in source:
            if isinstance(item, Record):
                writer.write(item)
            yield item

    with capture_to(path, say) as writer:
        yield keep(writer)
