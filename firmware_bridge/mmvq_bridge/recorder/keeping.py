"""A recording's files: FILE.part while it grows, FILE when it is done.

The part is written without a buffer, so a killed run leaves all that it heard, and nobody takes it while it is written
(a lock). `finish` makes the file of it, whole or not at all, and only then removes it.
"""

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.recorder.journal import DEVICE, HEADER, Row, devices, encode, parse
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings


def file_to_add_to(out: Path, append: bool) -> RecordingFile | None:
    """What is at `out`, None for nothing. BadInput if it must not be added to, or no file can be made there."""
    part = part_of(out)
    if part.exists():
        raise BadInput(f"{part}: of a run that was killed, or still goes on; finish it with {finishing(out)}")
    if not out.parent.is_dir():
        raise BadInput(f"{out}: no folder {out.parent}; make it, or give another --out")
    if out.suffix != ".csv" and find_spec("pyarrow") is None:
        raise BadInput(f"{out}: Parquet needs pyarrow: pip install 'mmvq[files]', or give a name that ends in .csv")
    if not out.exists():
        return None
    if not append:
        raise BadInput(f"{out}: there already; add to it with --append, or give another --out")
    return read_recordings(out)


def part_of(out: Path) -> Path:
    """Where the recording grows."""
    return out.with_name(out.name + ".part")


def finishing(out: Path) -> str:
    """The command that makes the file of what a run left."""
    return f"mmvq-bridge record --out {shlex.quote(str(out))} --finish"


class Part:
    """The journal that is written, open between `__enter__` and `__exit__`. BadInput if it cannot be made."""

    def __init__(self, out: Path, subject: str) -> None:
        self.path = part_of(out)
        self._out, self._subject = out, subject

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("xb", buffering=0)
        except OSError as error:
            raise BadInput(f"{self.path}: {error.strerror or error}; give another --out") from None
        _lock(self._file.fileno())
        self._append(HEADER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, rows: Iterable[Row]) -> None:
        """Append rows. Failed where the disk takes no more; what was written is there."""
        if data := encode(rows, self._subject):
            self._append(data)

    def _append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise Failed(f"{self.path}: {error.strerror}; make room, then {finishing(self._out)}") from None


def finish(out: Path) -> tuple[RecordingFile, RecordingFile]:
    """Make the file at `out` of its part, or add to it; gives the file and what is new in it.

    BadInput if there is no part, or nothing in it, or another run still writes it; Failed if the file cannot be
    written, and then the part is still there.
    """
    part = part_of(out)
    try:
        with part.open("rb") as lines:
            _lock(lines.fileno())
            new = parse(lines, str(part))
            whole = _joined(read_recordings(out), new, part) if out.exists() else new
            write_recordings(out, whole)
            with out.open("rb") as written:
                os.fsync(written.fileno())  # before the part goes: the power may, too
            part.unlink()
    except FileNotFoundError:
        raise BadInput(f"{part}: not there, so there is nothing to finish") from None
    except BlockingIOError:
        raise BadInput(f"{part}: another run still writes it; end that one") from None
    except OSError as error:
        raise Failed(f"{out}: {error.strerror or error}; all is in {part}; mend that, then {finishing(out)}") from None
    return replace(whole, path=str(out)), new


def _joined(old: RecordingFile, new: RecordingFile, part: Path) -> RecordingFile:
    twice = {recording.id for recording in old.recordings} & {recording.id for recording in new.recordings}
    if twice:
        raise BadInput(f"{old.path}: has recording {min(twice)} already; if {part} is in it, delete that")
    names = tuple(sorted({*old.labels, *new.labels}))
    uids = devices(old.meta.get(DEVICE, ""), new.meta.get(DEVICE, ""))
    meta = {**new.meta, **old.meta} | ({DEVICE: uids} if uids else {})
    recordings = (*_named(old, names), *_named(new, names))
    return replace(old, recordings=recordings, labels=names, meta=meta, notices=new.notices)


def _named(file: RecordingFile, names: tuple[str, ...]) -> list[Recording]:
    """Its recordings with labels as indices into `names`."""
    index = np.array([*map(names.index, file.labels), -1], np.int32)
    return [replace(recording, label=index[recording.label]) for recording in file.recordings]


def _lock(handle: int) -> None:
    """Until the file is closed. (Where there is no such lock, what is open cannot be removed.)"""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
