"""The `.ts` files of the UEA archive (Bagnall et al. 2018, arXiv 1811.00075), plain or gzipped.

    # a comment
    @problemName Epilepsy
    @dimensions 3
    @equalLength true
    @classLabel true EPILEPSY WALKING
    @data
    0.1,0.2,...:0.3,0.1,...:1.0,1.1,...:WALKING

A case is a line: dimensions, then the label, with colons between; samples with commas. Only what a net of fixed input
can take is read: equal lengths, no missing values, no time stamps.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput


@dataclass(frozen=True)
class Cases:
    """x float32 (N, dimensions, samples), y int64 (N,) into `labels`."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    labels: tuple[str, ...]


def read_ts(path: Path) -> Cases:
    """Read a file. Raises BadInput naming file and line."""
    labels: tuple[str, ...] = ()
    rows: list[npt.NDArray[np.float32]] = []
    y: list[int] = []
    in_data = False
    for number, line in enumerate(_text(path).splitlines(), 1):
        line, where = line.strip(), f"{path}:{number}"
        if not line or line.startswith("#"):
            continue
        if not in_data:
            if not line.startswith("@"):
                raise BadInput(f"{where}: a case before @data, or no .ts file at all")
            key, *words = line.split()
            in_data = key.lower() == "@data"
            labels = _header(key.lower(), words, where) or labels
            if in_data and not labels:
                raise BadInput(f"{where}: no line @classLabel true LABELS before @data; cases need labels")
            continue
        *dimensions, label = line.split(":")
        if label.strip() not in labels:
            raise BadInput(f"{where}: label {label.strip()[:40]!r} is none of those in @classLabel")
        row = _numbers(dimensions, where)
        if rows and row.shape != rows[0].shape:
            raise BadInput(
                f"{where}: {row.shape[0]} dimensions of {row.shape[1]} samples, where the first case has "
                f"{rows[0].shape[0]} of {rows[0].shape[1]}; cases must be alike"
            )
        rows.append(row)
        y.append(labels.index(label.strip()))
    if not rows:
        raise BadInput(f"{path}: no case in it")
    return Cases(np.stack(rows), np.array(y, dtype=np.int64), labels)


def read_pair(train: Path) -> tuple[Cases, Cases]:
    """NAME_TRAIN.ts and the NAME_TEST.ts beside it. Raises BadInput where there is none, or one of another kind."""
    test = train.with_name(train.name.replace("_TRAIN.", "_TEST."))
    if test == train:
        raise BadInput(f"{train}: give the file whose name ends with _TRAIN.ts or _TRAIN.ts.gz")
    if not test.exists():
        raise BadInput(f"{test}: not there; the test cases belong beside {train.name}")
    first, second = read_ts(train), read_ts(test)
    if (first.labels, first.x.shape[1:]) != (second.labels, second.x.shape[1:]):
        raise BadInput(f"{test}: labels, dimensions or length differ from those of {train.name}")
    return first, second


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a .ts file ({error})") from None


def _header(key: str, words: list[str], where: str) -> tuple[str, ...]:
    """Labels, if this is their line. Raises BadInput for what is not read."""
    said = words[0].lower() if words else ""
    if key == "@timestamps" and said == "true":
        raise BadInput(f"{where}: time stamps are not read; samples must be evenly spaced")
    if key == "@equallength" and said == "false":
        raise BadInput(f"{where}: series of unequal length are not read; cut or interpolate them first")
    if key == "@missing" and said == "true":
        raise BadInput(f"{where}: missing values are not read; fill them in first")
    return tuple(words[1:]) if key == "@classlabel" and said == "true" else ()


def _numbers(dimensions: list[str], where: str) -> npt.NDArray[np.float32]:
    try:
        row = np.array([dimension.split(",") for dimension in dimensions], dtype=np.float32)
    except ValueError:
        if any("?" in dimension for dimension in dimensions):
            raise BadInput(f"{where}: a missing value (?); fill them in first") from None
        if len({dimension.count(",") for dimension in dimensions}) > 1:
            raise BadInput(f"{where}: dimensions of unequal length") from None
        raise BadInput(f"{where}: a sample that is no number") from None
    if row.ndim != 2 or row.size == 0:
        raise BadInput(f"{where}: a label without samples")
    if not np.isfinite(row).all():
        raise BadInput(f"{where}: a sample that is missing or not finite")
    return row
