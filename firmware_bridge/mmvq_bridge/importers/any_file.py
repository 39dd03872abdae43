"""Whatever file it is: the format told by content, never by suffix, and its recordings."""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.device_file import DEVICE_FILES, read_dated_device_file
from mmvq_bridge.importers.edge_impulse import INFO, is_edge_impulse, read_edge_impulse, read_info
from mmvq_bridge.importers.labels import Stretch
from mmvq_bridge.importers.pamap2 import is_pamap2, read_pamap2
from mmvq_bridge.importers.table import is_table, read_table
from mmvq_bridge.importers.ts_files import is_ts, read_ts_recordings
from mmvq_bridge.importers.wisdm import is_wisdm, read_wisdm
from mmvq_bridge.recordings import RecordingFile, is_recording_header, read_recordings

HEAD: Final = 1 << 16  # bytes that tell the format
ACCEPTED: Final = (
    "files of GENEActiv, Axivity and ActiGraph devices, text of WISDM and PAMAP2, .ts of the UEA archive, JSON and "
    "CBOR of Edge Impulse, CSV with a header that names a time and x, y, z, and recording files"
)
ARCHIVE: Final = b"PK\x03\x04"
MEMBER_OF_GT3X: Final = "info.txt"  # every one has it
SHOWN: Final = 5  # names of files in a message


class Format(Enum):
    """What can be imported."""

    RECORDING = "recording file"
    DEVICE = "device file"
    WISDM = "WISDM"
    PAMAP2 = "PAMAP2"
    TS = "UEA .ts"
    EDGE_IMPULSE = "Edge Impulse"
    TABLE = "CSV"


@dataclass(frozen=True)
class Options:
    """What files do not say of themselves. rate_hz: of .ts files; axes: their dimensions that are x, y, z; position:
    where it was worn, of PAMAP2 one of three that it has."""

    units: str = "auto"
    rate_hz: float | None = None
    axes: tuple[int, ...] = (0, 1, 2)
    position: str | None = None


@dataclass(frozen=True)
class Source:
    """A file to read. stretches: its labels by an export's info.labels, or None where no such list names it."""

    path: Path
    format: Format
    stretches: Sequence[Stretch] | None = None


@dataclass(frozen=True)
class Imported:
    """What a file holds. clock_s: the device's clock at the start, in seconds since 1970, where it has one."""

    file: RecordingFile
    clock_s: float | None = None


def tell(head: bytes) -> Format | None:
    """The format by a file's first `HEAD` bytes."""
    first = head.partition(b"\n")[0].decode("utf-8-sig", "replace")
    if head.startswith(b"PAR1") or is_recording_header(first):
        return Format.RECORDING
    if head.startswith(tuple(DEVICE_FILES)):
        return Format.DEVICE
    tests = {
        Format.TS: is_ts,
        Format.EDGE_IMPULSE: is_edge_impulse,
        Format.WISDM: is_wisdm,
        Format.PAMAP2: is_pamap2,
        Format.TABLE: is_table,
    }
    return next((format for format, test in tests.items() if test(head)), None)


def find_sources(paths: Sequence[Path], leave: Path) -> tuple[list[Source], list[str]]:
    """The files to read, each once, in folders by name; and what to say of those that are passed over.

    leave: a file that is not to be read, as it is to be written. BadInput for a file that is named and cannot be
    imported, and for a folder without any that can.
    """
    found: dict[Path, Source] = {}
    notices: list[str] = []
    for path in paths:
        for source in _in_folder(path, leave, notices) if path.is_dir() else [_named(path)]:
            found.setdefault(source.path.resolve(), source)
    return list(found.values()), notices


def read_source(source: Source, options: Options) -> Imported:
    """The recordings of a file."""
    path, clock_s = source.path, None
    match source.format:
        case Format.RECORDING:
            file = read_recordings(path, options.units)
        case Format.DEVICE:
            file, clock_s = read_dated_device_file(str(path))
        case Format.WISDM:
            file = read_wisdm(path)
        case Format.PAMAP2:
            return Imported(read_pamap2(path, options.position or "hand"))
        case Format.TS:
            file = read_ts_recordings(path, options.rate_hz, options.units, options.axes)
        case Format.EDGE_IMPULSE:
            file = read_edge_impulse(path, options.units, source.stretches)
        case Format.TABLE:
            file = read_table(path, options.units, source.stretches)
    if options.position:
        file = replace(file, meta={**file.meta, "mmvq.position": options.position})
    return Imported(file, clock_s)


def _named(path: Path) -> Source:
    head = _head(path)
    format = tell(head)
    if format is None:
        raise BadInput(f"{path}: {'of no known format' if head else 'empty'}; import takes {ACCEPTED}")
    return Source(path, format)


def _in_folder(folder: Path, leave: Path, notices: list[str]) -> list[Source]:
    """What lies in a folder and in those within it."""
    stretches: dict[Path, list[Stretch]] = {}
    found: list[Source] = []
    passed: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if INFO in names:
            stretches |= read_info(Path(place))
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".") and name != INFO):
            if path.resolve() == leave.resolve() or not path.is_file():
                continue
            head = _head(path)
            format = None if head.startswith(ARCHIVE) and not _is_gt3x(path) else tell(head)
            if format is None:
                passed.append(str(path.relative_to(folder)))
            else:
                found.append(Source(path, format))
    if not found:
        raise BadInput(f"{folder}: none of its {len(passed)} files can be imported; import takes {ACCEPTED}")
    if passed:
        some = ", ".join(passed[:SHOWN]) + (", ..." if len(passed) > SHOWN else "")
        notices.append(f"{folder}: {len(passed)} files of no known format are passed over: {some}")
    return [replace(source, stretches=stretches.get(source.path.resolve())) for source in found]


def _head(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: no file but a pipe or a device; save what comes from it to a file first")
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give the path of a file or a folder") from None


def _is_gt3x(path: Path) -> bool:
    """Whether a zip archive is one: a folder may well hold the archive that it was unpacked from."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MEMBER_OF_GT3X in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
