"""Writing a capture: to FILE.part while it grows, renamed to FILE at the end, whatever ended it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from mmvq_bridge.command import BadInput
from mmvq_run.records import MAGIC, Record, Tick, encode


class CaptureWriter:
    """Appends records to an unbuffered file, so that a killed run leaves what it heard."""

    def __init__(self, out: FileIO) -> None:
        self._out = out
        self._out.write(MAGIC)

    def write(self, record: Record) -> None:
        """Append a record."""
        self._out.write(encode(record))


@contextmanager
def capture_to(path: str) -> Iterator[CaptureWriter]:
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
            yield CaptureWriter(out)
    finally:
        part.rename(target)


@contextmanager
def recorded(path: str, source: Iterable[Record | Tick]) -> Iterator[Iterator[Record | Tick]]:
    """The same records, each kept in a capture at `path` before it is passed on. BadInput as for `capture_to`."""

    def keep(writer: CaptureWriter) -> Iterator[Record | Tick]:
        for item in source:
            if isinstance(item, Record):
                writer.write(item)
            yield item

    with capture_to(path) as writer:
        yield keep(writer)
