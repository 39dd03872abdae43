"""CSV with a header that names a time and three axes, as loggers and Edge Impulse write it.

    timestamp,accX,accY,accZ                         Edge Impulse: milliseconds; the label is the file's name
    seconds_elapsed,z,y,x                            any order, other columns between
    time,acc_x,acc_y,acc_z,label                     a label a row, empty for none
    "Time (s)";"Acceleration x (m/s^2)";...          semicolons or tabs

The first column that names a time counts. Its unit is the one that makes a rate of 1 to 1000 Hz, and is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.edge_impulse import by_name
from mmvq_bridge.importers.labels import Stretch, labelled
from mmvq_bridge.importers.rows import (
    PIECE,
    columns_of_axes,
    numbers_of_rows,
    pieces_of_lines,
    plain_name,
    refuse_backwards,
)
from mmvq_bridge.importers.units import in_g, seconds_per_tick
from mmvq_bridge.recordings import Recording, RecordingFile

TIMES: Final = ("t", "ts", "tms", "time", "timems", "timestamp", "timestampms", "seconds", "secondselapsed", "millis")
LABELS: Final = ("label", "activity", "class")
DELIMITERS: Final = (",", ";", "\t")
EDGE_IMPULSE: Final = {"accX", "accY", "accZ"}


@dataclass(frozen=True)
class _Columns:
    """Where a header has what, counted from 0. label is None where there is no such column."""

    delimiter: str
    time: int
    axes: tuple[int, int, int]
    label: int | None
    of_edge_impulse: bool


def is_table(head: bytes) -> bool:
    """Whether a file with these first bytes is one."""
    return _columns(head) is not None


def read_table(path: Path, units: str = "auto", stretches: Sequence[Stretch] | None = None) -> RecordingFile:
    """A file's recording. stretches: labels of an export's info.labels, before all others.

    BadInput naming the line for what is no number, and for time that runs backwards.
    """
    with path.open("rb") as file:
        columns = _columns(file.readline(PIECE))
    if columns is None:
        raise BadInput(f"{path}: its first line names no time and no x, y, z")
    pieces = numbers_of_rows(path, (columns.time, *columns.axes), columns.delimiter, first_row=2)
    rows = np.concatenate([np.empty((0, 5)), *pieces])
    number, time = rows[:, 0], rows[:, 1]
    if len(rows) < 2:
        raise BadInput(f"{path}: no rows in it; a row is a sample: time, x, y, z")
    lost = np.flatnonzero(~np.isfinite(time))
    if len(lost):
        raise BadInput(f"{path}: line {number[lost[0]]:.0f}: {time[lost[0]]} is no time; leave that row out")
    refuse_backwards(time, number, path)
    tick_s, unit = seconds_per_tick(time, path)
    xyz, notices = in_g(rows[:, 2:], units, path, lambda row: f"line {number[row]:.0f}")
    t = np.round((time - time[0]) * tick_s, 9)
    rate_hz = float(f"{1 / np.median(np.diff(t)[np.diff(t) > 0]):.4g}")
    notices.append(f"{path}: time is taken for {unit}, which makes {rate_hz:g} Hz by its median step")
    names, label = _labels(path, columns, len(t))
    recording = Recording(0, "", t, xyz.astype(np.float32), label)
    table = RecordingFile(str(path), (recording,), names, rate_hz, True, {}, tuple(notices))
    if stretches is None and columns.of_edge_impulse:
        stretches = by_name(path)
    return labelled(table, stretches or ())


def _columns(head: bytes) -> _Columns | None:
    line = head.partition(b"\n")[0].decode("utf-8-sig", "replace")
    delimiter = max(DELIMITERS, key=line.count)
    names = [name.strip(' "\r') for name in line.split(delimiter)]
    plain = [plain_name(name) for name in names]
    axes, time = columns_of_axes(names), next((i for i, name in enumerate(plain) if name in TIMES), None)
    if axes is None or time is None:
        return None
    label = next((i for i, name in enumerate(plain) if name in LABELS), None)
    return _Columns(delimiter, time, axes, label, label is None and set(names) >= EDGE_IMPULSE)


def _labels(path: Path, columns: _Columns, count: int) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """The labels' names, and the index (count,) of each row's, -1 for none."""
    if columns.label is None:
        return (), np.full(count, -1, np.int32)
    codes: dict[str, int] = {}
    pieces: list[npt.NDArray[np.int64]] = []
    for first, lines in pieces_of_lines(path):
        rows = [line.decode("utf-8", "replace") for i, line in enumerate(lines, first) if i > 1 and line.strip()]
        cells = [row.split(columns.delimiter)[columns.label :] for row in rows]
        words = [cell[0].strip(' "\r') if cell else "" for cell in cells]
        pieces.append(np.array([codes.setdefault(word, len(codes)) for word in words], np.int64))
    names = sorted(codes.keys() - {""})
    place = np.array([names.index(word) if word else -1 for word in codes], np.int32)
    return tuple(names), place[np.concatenate(pieces)]
