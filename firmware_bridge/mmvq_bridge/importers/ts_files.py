"""The `.ts` files of the UEA archive (Bagnall et al. 2018, arXiv 1811.00075), plain or gzipped.

    # a comment
    @problemName Epilepsy
    @dimensions 3
    @equalLength true
    @classLabel true EPILEPSY WALKING
    @data
    0.1,0.2,...:0.3,0.1,...:1.0,1.1,...:WALKING

A case is a line: dimensions, then the label, with colons between; samples with commas. Only cases alike are read: equal
lengths, no missing values, no time stamps. A file says neither its rate nor its units nor who did it.
"""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.units import in_g
from mmvq_bridge.recordings import Recording, RecordingFile

GZIP: Final = b"\x1f\x8b"
LONGEST: Final = 1 << 30  # bytes of text, unpacked: a megabyte may unpack to that, and be no cases
HEAD: Final = 1 << 16  # bytes, unpacked, that tell the format
CITATION: Final = "Bagnall et al., The UEA multivariate time series classification archive, arXiv 1811.00075, 2018"


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


def is_ts(head: bytes) -> bool:
    """Whether a file with these first bytes is one, packed or not."""
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
        except zlib.error:
            return False
    lines = (line.strip() for line in head.split(b"\n"))
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return first.lower().startswith((b"@problemname", b"@timestamps", b"@univariate", b"@dimensions", b"@classlabel"))


def read_ts_recordings(path: Path, rate_hz: float | None, units: str, axes: Sequence[int]) -> RecordingFile:
    """Each case as a recording of nobody known. axes: the three dimensions, from 0, that are x, y and z."""
    if rate_hz is None:
        raise BadInput(f"{path}: a .ts file does not say its rate; give --rate-hz (its first lines may tell)")
    cases = read_ts(path)
    count, dimensions, samples = cases.x.shape
    if len(axes) != 3 or not all(0 <= axis < dimensions for axis in axes):
        raise BadInput(f"{path}: it has dimensions 0 to {dimensions - 1}; give three of them with --axes 0,1,2")
    flat = cases.x[:, list(axes)].transpose(0, 2, 1).reshape(-1, 3).astype(np.float64)
    xyz, notices = in_g(flat, units, path, lambda row: f"case {row // samples + 1}, sample {row % samples + 1}")
    each = xyz.astype(np.float32).reshape(count, samples, 3)
    names = tuple(sorted(cases.labels))
    place = [names.index(name) for name in cases.labels]
    t = np.arange(samples) / rate_hz
    recordings = tuple(
        Recording(i, "", t, each[i], np.full(samples, place[y], np.int32)) for i, y in enumerate(cases.y)
    )
    return RecordingFile(str(path), recordings, names, rate_hz, True, {"mmvq.citation": CITATION}, tuple(notices))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if is_packed else file).read(LONGEST + 1)
        if len(data) > LONGEST:
            raise BadInput(f"{path}: over {LONGEST} bytes of text, which is more than can be taken; split it")
        return data.decode()
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
        with np.errstate(over="ignore"):  # what float32 does not hold is refused below
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
