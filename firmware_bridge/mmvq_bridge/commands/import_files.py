"""mmvq-bridge import: other people's files as a recording file."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput, Commands, say
from mmvq_bridge.commands import tell
from mmvq_bridge.files import atomic
from mmvq_bridge.findings import Severity, by_severity, counted
from mmvq_bridge.importers.any_file import Format, Imported, Options, Source, find_sources, read_source
from mmvq_bridge.importers.labels import Entry, labelled, read_diary, stretches_of, whole
from mmvq_bridge.importers.merge import merged
from mmvq_bridge.quality import as_html, calibrated, judge, lines, quality
from mmvq_bridge.recordings import RATES_HZ, RecordingFile, counts_per_g, write_recordings
from mmvq_bridge.stream.records import printable

IMPORT_HELP: Final = """\
Turn files of other formats into one recording file, which mmvq-train takes as it is. The format is told by content:

  GENEActiv .bin and .csv, Axivity .cwa, ActiGraph .gt3x   one recording each, without labels (needs mmvq[devices])
  WISDM text, v1.1 and "smartphone and smartwatch"         recordings by user, activity and session
  PAMAP2 .dat                                              the wrist's; the chest's or ankle's with --position
  UEA .ts, plain or gzipped                                each case a recording; needs --rate-hz
  Edge Impulse JSON, and CBOR with mmvq[devices]           labels by info.labels in a folder, else by file name
  CSV with a header that names a time and x, y, z          a column label, if there is one
  recording files                                          to put several together

Folders are read with all that lies in them. Recordings are numbered anew. Of files of devices the quality is told: unit
and range, rate and gaps, calibration by gravity at rest, when it was not worn.
"""
IMPORT_EXAMPLES: Final = """\
labels for device files:
  --labels diary.csv, rows start,end,label[,file] with or without that header: start and end in seconds from the
  recording's start, or both as date and time by the device's clock (2019-05-21 16:16:45). What no row covers stays
  unlabelled. `file` is needed only where rows do not hold for every file.

examples:
  mmvq-bridge import anna.cwa --labels diary.csv --subject anna --out anna.parquet
  mmvq-bridge import anna.cwa --calibrate --report pages --out anna.parquet
  mmvq-bridge import study/*.cwa --subject @file --labels diary.csv --name study --out study.parquet
  mmvq-bridge import wisdm-dataset/raw/watch/accel --position 'dominant wrist' --out wisdm.parquet
  mmvq-bridge import PAMAP2_Dataset/Protocol --out pamap2.parquet
  mmvq-bridge import Epilepsy_TRAIN.ts Epilepsy_TEST.ts --rate-hz 16 --out epilepsy.parquet
  mmvq-bridge import my-project-export/ --out mine.parquet && mmvq-train --data mine.parquet
"""
QUIET_S: Final = 1.0  # between two lines of progress
LARGE: Final = 20_000_000  # bytes of a file that is named before it is read, as that takes a while
GAP_S: Final = 0.25  # a longer step is a gap, in which nothing is counted but this (DESIGN 3.1)
MOST_NOTICES: Final = 20  # that are told; a folder of a thousand files may have as many


def add_to(commands: Commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "import",
        help="turn files of devices, data sets and other tools into a recording file",
        description=IMPORT_HELP,
        epilog=IMPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="file or folder")
    parser.add_argument("--out", metavar="FILE", required=True, type=Path, help="recording file: .parquet, or .csv")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--label", metavar="L", help="label everything so, whatever the files say")
    labels.add_argument("--labels", metavar="FILE", type=Path, help="CSV that says what was done when: see below")
    parser.add_argument(
        "--subject",
        metavar="S",
        help="who wore it, where files do not say; @file and @folder take the name of each file or its folder "
        "(none: one wearer)",
    )
    parser.add_argument(
        "--units",
        metavar="U",
        default="auto",
        help="where files do not say: auto (default; a median of 4 to 40 is m/s²), g, ms2, counts:N (N counts a g)",
    )
    parser.add_argument(
        "--rate-hz", metavar="R", type=float, help="rate of .ts files; nominal rate where those of the files differ"
    )
    parser.add_argument("--axes", metavar="I,J,K", default="0,1,2", help="dimensions of .ts files that are x, y and z")
    parser.add_argument(
        "--calibrate", action="store_true",
        help="correct gain and offset by gravity at rest (van Hees et al. 2014), where a file lay still in enough ways",
    )  # fmt: skip
    parser.add_argument(
        "--report", metavar="FOLDER", type=Path, help="write a page on each file's quality there: FILE's name.html"
    )
    parser.add_argument("--position", metavar="P", help="where it was worn; of PAMAP2: hand (default), chest or ankle")
    parser.add_argument("--name", metavar="N", help="of the data set; by default that of --out")
    parser.add_argument("--licence", metavar="L", help="kept in the file, and in the model card of what it trains")
    parser.add_argument("--citation", metavar="C", help="the same; WISDM, PAMAP2 and UEA fill in their own")
    parser.set_defaults(work=_import)


def _import(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    options = _options(arguments)
    if out.is_dir() or (out.exists() and not arguments.force):
        raise BadInput(f"{out}: there already; give another --out, or --force")
    if out.suffix != ".csv" and find_spec("pyarrow") is None:
        raise BadInput(f"{out}: writing Parquet needs pyarrow; pip install 'mmvq[files]', or end --out with .csv")
    sources, notices = find_sources(arguments.files, out)
    looks: list[str] = []
    files = _read(sources, options, arguments, notices, looks)
    file = _described(merged(files, str(out), options.rate_hz), arguments)
    write_recordings(out, file)
    for look in looks:
        tell(look)
    notices += file.notices
    if out.suffix == ".csv":
        notices.append(f"{out}: CSV keeps neither rate, name, licence nor citation; Parquet does")
    for notice in notices[:MOST_NOTICES]:
        tell(notice)
    if len(notices) > MOST_NOTICES:
        tell(f"and {len(notices) - MOST_NOTICES} more notices like these")
    for line in _table(file):
        say(printable(line))
    return 0


def _read(
    sources: Sequence[Source], options: Options, arguments: argparse.Namespace, notices: list[str], looks: list[str]
) -> list[RecordingFile]:
    """The files' recordings, with the labels and the names that the arguments give them; notices, and what `looks` at
    their quality saw, for the person."""
    diary = _diary(arguments.labels, sources)
    files: list[RecordingFile] = []
    used: set[int] = set()  # rows of the diary
    told = time.monotonic()
    for number, source in enumerate(sources):
        size = source.path.stat().st_size
        if size > LARGE or time.monotonic() - told > QUIET_S:
            what = f"{source.format.value}, {size / 1e6:.1f} MB"
            tell(f"reading {source.path} ({what}; {number} of {len(sources)} files are read)")
            told = time.monotonic()
        imported = read_source(source, options)
        file, seen = _checked(imported, source, len(sources) == 1, arguments)
        looks += seen
        if arguments.label:
            file = labelled(file, whole(arguments.label.strip()))
        if diary:
            stretches = stretches_of(diary, arguments.labels, file, imported.clock_s)
            file = labelled(file, list(stretches.values()))
            used |= stretches.keys()
        files.append(_worn_by(file, arguments.subject, source.path))
    if diary:
        notices += _unused(diary, used, arguments.labels)
    return files


def _checked(
    imported: Imported, source: Source, alone: bool, arguments: argparse.Namespace
) -> tuple[RecordingFile, list[str]]:
    """The file, calibrated if that is asked for, and what is to be told. What a device kept is looked at in any case:
    all is told of a file that is alone, else what is amiss."""
    pages: Path | None = arguments.report
    if source.format != Format.DEVICE and not pages and not arguments.calibrate:
        return imported.file, []
    found = quality(imported.file, imported.clock_s)
    seen = [
        f"{source.path.name}: {line}"
        for finding, line in zip(by_severity(judge(found)), lines(found), strict=True)
        if alone or finding.severity in (Severity.FAULT, Severity.WARNING)
    ]
    if pages:
        page = pages / f"{source.path.name}.html"
        with atomic(page) as part:
            part.write_text(as_html(found), encoding="utf-8")
        seen.append(f"{page}: its quality in pictures")
    return calibrated(imported.file, found.calibration) if arguments.calibrate else imported.file, seen


def _options(arguments: argparse.Namespace) -> Options:
    units, rate_hz = arguments.units, arguments.rate_hz
    if units.startswith("counts:"):
        counts_per_g(units)
    elif units not in ("auto", "g", "ms2"):
        raise BadInput(f"--units {units!r} are unknown; use auto, g, ms2 or counts:N (counts a g)")
    if rate_hz is not None and not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise BadInput(f"--rate-hz {rate_hz:g}: a rate lies between 1 and 10000 Hz")
    words = arguments.axes.split(",")
    if len(words) != 3 or not all(word.strip().isdecimal() for word in words):
        raise BadInput(f"--axes {arguments.axes!r} are not three dimensions, counted from 0, such as 0,1,2")
    if arguments.label is not None and not arguments.label.strip():
        raise BadInput("--label is empty; leave it out for no labels")
    return Options(units, rate_hz, tuple(int(word) for word in words), arguments.position)


def _diary(path: Path | None, sources: Sequence[Source]) -> list[Entry]:
    if path is None:
        return []
    entries = read_diary(path)
    unclear = next((entry for entry in entries if not entry.dated and not entry.file), None)
    if unclear and len(sources) > 1:
        raise BadInput(
            f"{path}: row {unclear.row} is in seconds from the start of one of {len(sources)} files; name it in a "
            "fourth column, file"
        )
    return entries


def _unused(diary: Sequence[Entry], used: set[int], path: Path) -> list[str]:
    rows = [entry.row for entry in diary if entry.row not in used]
    if len(rows) == len(diary):
        raise BadInput(f"{path}: none of its rows lies within a recording; are the dates by the device's clock?")
    return [f"{path}: rows {', '.join(map(str, rows))} lie within no recording"] if rows else []


def _worn_by(file: RecordingFile, subject: str | None, path: Path) -> RecordingFile:
    """The file with a name for those of its wearers who have none."""
    if not subject:
        return file
    name = {"@file": path.name.partition(".")[0], "@folder": path.resolve().parent.name}.get(subject, subject)
    return replace(file, recordings=tuple(r if r.subject else replace(r, subject=name) for r in file.recordings))


def _described(file: RecordingFile, arguments: argparse.Namespace) -> RecordingFile:
    said = {f"mmvq.{key}": getattr(arguments, key) for key in ("name", "licence", "citation")}
    meta = {"mmvq.name": arguments.out.stem, **file.meta} | {key: text for key, text in said.items() if text}
    return replace(file, meta=meta)


def _table(file: RecordingFile) -> list[str]:
    """What is in the file: a line on all of it, and one a label."""
    labels = [*file.labels, "(none)"]  # where the index -1 is as well
    minutes = np.zeros(len(labels))
    wearers: list[set[str]] = [set() for _ in labels]
    for recording in file.recordings:
        steps = np.minimum(np.diff(recording.t), GAP_S)
        minutes += np.bincount(recording.label[:-1] % len(labels), steps, len(labels)) / 60
        for place in np.unique(recording.label):
            wearers[place].add(recording.subject)
    people = [subject for subject in file.subjects if subject]
    width = max(len(label) for label in labels)
    return [
        f"{file.path}: {counted(len(file.recordings), 'recording')} at {file.rate_hz:g} Hz, "
        f"{minutes.sum():.1f} minutes, {len(people) or 'no'} named {'wearer' if len(people) == 1 else 'wearers'}",
        f"  {'label':{width}}  minutes  wearers",
        *(
            f"  {label:{width}}  {minutes[i]:7.1f}  {len(wearers[i]):7}"
            for i, label in enumerate(labels)
            if wearers[i]
        ),
    ]
