"""Rows of text, read in pieces so that a file of any length takes the memory of its numbers alone."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import Floats
from mmvq_bridge.stream.records import printable

PIECE: Final = 1 << 20  # bytes at a time: some thousand rows, which numpy parses at 200 MB a second
SHOWN: Final = 60  # characters of a bad line that a message shows

ACCELERATION: Final = "(a|acc|accel|acceleration|accelerometer)"  # before x, y or z in a column's name


def pieces_of_lines(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A file's lines, about a million bytes of them at a time, with the number of the first of them.

    BadInput for a line of over a million bytes: this is no text of rows.
    """
    number, rest = 1, b""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > PIECE:
                raise BadInput(f"{path}: line {number + len(lines)} has over {PIECE} bytes; a row is a line")
            yield number, lines
            number += len(lines)
    yield number, [rest]


def numbers_of_rows(path: Path, columns: Sequence[int], delimiter: str | None, first_row: int = 1) -> Iterator[Floats]:
    """Columns (counted from 0) of the lines from `first_row` on: in each piece (n, 1 + columns), the line's number
    first. Empty lines are left out; nan is a number here.

    delimiter: None for any white space. BadInput names the first line that lacks a column or holds no number.
    """
    for first, lines in pieces_of_lines(path):
        number = np.array([i for i, line in enumerate(lines, first) if i >= first_row and line.strip()], np.int64)
        rows = [lines[i - first] for i in number]
        if not rows:
            continue
        try:
            found = _parsed(rows, columns, delimiter)
        except ValueError:
            bad = next(i for i, row in enumerate(rows) if not _is_row(row, columns, delimiter))
            raise BadInput(
                f"{path}: line {number[bad]} ({shown(rows[bad])}) has no numbers in columns "
                f"{', '.join(str(c + 1) for c in columns)}; mend it or leave it out"
            ) from None
        yield np.column_stack([number, found])


def refuse_backwards(t: Floats, number: Floats, path: Path) -> None:
    """BadInput if time runs backwards, naming the line where it does. number: lines of the samples."""
    back = np.flatnonzero(np.diff(t) < 0)
    if len(back):
        raise BadInput(
            f"{path}: line {number[back[0] + 1]:.0f}: time runs backwards ({t[back[0] + 1]:g} after {t[back[0]]:g}); "
            "sort the rows by time, and give each wearing a file of its own"
        )


def columns_of_axes(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Which columns are x, y and z of the acceleration, by their names: accX, acc_x, Acceleration x (m/s^2), x-axis, x.

    Those that say acceleration go before those that say an axis alone. None unless each is there, and once.
    """
    plain = [plain_name(name).removesuffix("axis") for name in names]
    for before in (ACCELERATION, ""):
        x, y, z = ([i for i, name in enumerate(plain) if re.fullmatch(before + axis, name)] for axis in "xyz")
        if len(x) == len(y) == len(z) == 1:
            return x[0], y[0], z[0]
    return None


def plain_name(name: str) -> str:
    """A column's name in small letters and digits alone, without a unit in brackets."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[(\[].*", "", name.lower()))


def shown(line: bytes) -> str:
    """The beginning of a line, fit for a message."""
    text = printable(line[:SHOWN].decode("utf-8", "replace").strip())
    return text + ("..." if len(line) > SHOWN else "")


def _parsed(rows: list[bytes], columns: Sequence[int], delimiter: str | None) -> Floats:
    return np.loadtxt(rows, usecols=columns, delimiter=delimiter, comments=None, ndmin=2, encoding="latin-1")


def _is_row(row: bytes, columns: Sequence[int], delimiter: str | None) -> bool:
    try:
        _parsed([row], columns, delimiter)
    except ValueError:
        return False
    return True
