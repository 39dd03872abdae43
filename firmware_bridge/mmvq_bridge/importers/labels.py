"""Labels that a file does not hold itself: one for all of it, a diary, or the stretches of an export. Pure but for the
diary's file.

A diary is CSV (commas or semicolons), a row a stretch, with or without this header:

    start,end,label            seconds from the recording's start, or date and time by the device's clock:
    0,90.5,walking
    2019-05-21 16:16:45,2019-05-21 16:16:50,sitting

With a fourth column, `file`, a row holds for the file of that name alone; without, for every file of the import.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import RecordingFile

HEADER: Final = ["start", "end", "label", "file"]
SHOWN: Final = 60  # characters of a bad row that a message shows
DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?")


@dataclass(frozen=True)
class Stretch:
    """A label from `start` until before `end`, in seconds from a recording's start."""

    start: float
    end: float
    label: str


def whole(label: str) -> list[Stretch]:
    """One label for everything."""
    return [Stretch(-math.inf, math.inf, label)]


def labelled(file: RecordingFile, stretches: Sequence[Stretch]) -> RecordingFile:
    """The file with those labels; what lies outside all stretches keeps its own."""
    names = tuple(sorted({*file.labels, *(stretch.label for stretch in stretches)}))
    place = np.array([*(names.index(name) for name in file.labels), -1], np.int32)  # -1 stays -1
    recordings = []
    for recording in file.recordings:
        label = place[recording.label]
        since = recording.t - recording.t[0]
        for stretch in stretches:
            begin, end = np.searchsorted(since, [stretch.start, stretch.end])
            label[begin:end] = names.index(stretch.label)
        recordings.append(replace(recording, label=label))
    return replace(file, recordings=tuple(recordings), labels=names)


@dataclass(frozen=True)
class Entry:
    """A diary's row. start, end: seconds from the start or, if `dated`, since 1970 by the device's clock; file: a name,
    or "" for every file."""

    row: int
    start: float
    end: float
    dated: bool
    label: str
    file: str

    def is_for(self, path: Path) -> bool:
        """Whether it speaks of this file."""
        return self.file in ("", path.name, path.stem)


def read_diary(path: Path) -> list[Entry]:
    """A diary's rows. BadInput naming the row for what cannot be meant."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give the path of a CSV of start,end,label") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: no CSV ({error}); a diary is a CSV of start,end,label") from None
    entries = []
    for number, words in enumerate(rows, 1):
        row = [word.strip() for word in words]
        if not any(row) or [word.lower() for word in row] in (HEADER, HEADER[:3]):
            continue
        if len(row) not in (3, 4) or not row[2]:
            said = ",".join(row)[:SHOWN]
            raise BadInput(f"{path}: row {number}: {said!r} is no start,end,label or start,end,label,file")
        (start, dated), (end, end_dated) = (_moment(word, path, number) for word in row[:2])
        if dated != end_dated or not start < end:
            raise BadInput(
                f"{path}: row {number}: {row[0]} to {row[1]} is no stretch of time; give two times of a kind, in order"
            )
        entries.append(Entry(number, start, end, dated, row[2], row[3] if len(row) == 4 else ""))
    if not entries:
        raise BadInput(f"{path}: no row in it; a diary is a CSV of start,end,label")
    return entries


def stretches_of(
    entries: Sequence[Entry], diary: Path, file: RecordingFile, clock_s: float | None
) -> dict[int, Stretch]:
    """What a diary says of a file, by its rows; those are left out that lie outside the recording.

    clock_s: the device's clock at the recording's start, in seconds since 1970, or None where it is not known.
    BadInput where the diary says two things at once, or a thing whose place cannot be known.
    """
    own = sorted((entry for entry in entries if entry.is_for(Path(file.path))), key=lambda entry: entry.start)
    if own and len(file.recordings) > 1:
        raise BadInput(f"{file.path}: it holds {len(file.recordings)} recordings; --labels is for files that hold one")
    if clock_s is None and any(entry.dated for entry in own):
        raise BadInput(f"{file.path}: it tells no date; give start and end in {diary} in seconds from its start")
    if len({entry.dated for entry in own}) > 1:
        raise BadInput(f"{diary}: dates and seconds for {file.path}; give one or the other")
    for first, second in pairwise(own):
        if second.start < first.end:
            raise BadInput(f"{diary}: rows {first.row} and {second.row} overlap; a moment has one label")
    zero = clock_s if clock_s is not None and any(entry.dated for entry in own) else 0.0
    last = file.recordings[0].t[-1] - file.recordings[0].t[0]
    found = {entry.row: Stretch(entry.start - zero, entry.end - zero, entry.label) for entry in own}
    return {row: stretch for row, stretch in found.items() if stretch.end > 0 and stretch.start <= last}


def _moment(word: str, path: Path, row: int) -> tuple[float, bool]:
    """Seconds, and whether they are those of a date."""
    try:
        if DATE.fullmatch(word):
            return datetime.fromisoformat(word).replace(tzinfo=UTC).timestamp(), True
        seconds = float(word)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise BadInput(f"{path}: row {row}: {word[:SHOWN]!r} is neither seconds nor a date like 2019-05-21 16:16:45")
    return seconds, False
