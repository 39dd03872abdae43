"""The recording file: Parquet, or CSV with the same header (DESIGN 3.1).

    recording,subject,label,t_ms,x,y,z        one row a sample, acceleration in g, label may be empty

It lives in the lowest room because the simulated device and `record` need it as much as training does. What cannot
be meant (a column missing, a value that is no number, 32 g, time that runs backwards) is rejected with one line that
names file, row (counted from 1, without the header) and column.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic

COLUMNS: Final = ("recording", "subject", "label", "t_ms", "x", "y", "z")
LIMIT_G: Final = 32.0  # no wrist device measures more; beyond it the unit is wrong
RATES_HZ: Final = (1.0, 10_000.0)  # what an accelerometer on a person samples at, with room
LATEST_MS: Final = 2.0**53  # of t_ms: from there on a float does not tell milliseconds apart
STANDARD_GRAVITY: Final = 9.80665  # m/s² in one g
# At rest a watch shows 1 g. A median near 9.8 means m/s²; the margin covers sets with much movement in them.
MS2_AT_REST: Final = (8.0, 12.0)

Floats = npt.NDArray[np.float64]
Column = Sequence[Any] | npt.NDArray[Any]


@dataclass(frozen=True)
class Recording:
    """One uninterrupted wearing by one subject.

    t: seconds, float64 (n,), never decreasing; xyz: g, float32 (n, 3);
    label: index into the file's `labels`, or -1 for none, int32 (n,).
    """

    id: int
    subject: str
    t: Floats
    xyz: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32]


@dataclass(frozen=True)
class RecordingFile:
    """A file's recordings in the order of first appearance, its labels sorted by name, and what it says of itself."""

    path: str
    recordings: tuple[Recording, ...]
    labels: tuple[str, ...]
    rate_hz: float
    rate_declared: bool
    meta: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The data set's name: declared, else the file's stem."""
        return self.meta.get("mmvq.name") or Path(self.path).stem

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects, sorted by length and then alphabetically (so that "9" comes before "10")."""
        return tuple(sorted({r.subject for r in self.recordings}, key=lambda s: (len(s), s)))


def read_recordings(path: Path | str, units: str = "g") -> RecordingFile:
    """Read a Parquet or CSV recording file, told apart by content.

    units: "g"; "ms2"; "counts:N" (N counts a g); or "auto", which takes a median near 9.8 for m/s² and says so
    in `notices`. Raises BadInput for whatever the format forbids.
    """
    source = Path(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise BadInput(f"{source}: {error.strerror or error}; give the path of a recording file") from None
    return parse_recordings(data, str(source), units)


def parse_recordings(data: bytes, path: str, units: str = "g") -> RecordingFile:
    """The same from bytes; `path` serves messages only."""
    columns, meta = _parquet_columns(data, path) if data[:4] == b"PAR1" else _csv_columns(data, path)
    t_ms = _times(columns["t_ms"], path)
    xyz = np.stack([_numbers(columns[axis], axis, path) for axis in "xyz"], axis=1)
    if len(t_ms) == 0:
        raise BadInput(f"{path}: no samples in it; a recording file has one row a sample")
    xyz, notices = _in_g(xyz, units, path)
    ids = _whole_numbers(columns["recording"], "recording", path)
    subjects, labels = list(columns["subject"]), list(columns["label"])
    names = tuple(sorted({label for label in labels if label}))
    index = {label: i for i, label in enumerate(names)}
    codes = np.array([index[label] if label else -1 for label in labels], dtype=np.int32)

    recordings = []
    order = np.argsort(ids, kind="stable")  # one sort instead of a search per recording
    groups = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)
    for rows in sorted(groups, key=lambda rows: int(rows[0])):
        number = int(ids[rows[0]])
        t = t_ms[rows] / 1000.0
        back = np.flatnonzero(np.diff(t) < 0)
        if len(back):
            row = rows[back[0] + 1]
            raise BadInput(
                f"{path}: row {row + 1}, column t_ms: time runs backwards in recording {number} "
                f"({t_ms[row]:g} after {t_ms[rows[back[0]]]:g}); sort each recording by t_ms"
            )
        wearers = {subjects[row] for row in rows}
        if len(wearers) > 1:
            raise BadInput(
                f"{path}: recording {number} has {len(wearers)} subjects ({', '.join(sorted(wearers))}), "
                "column subject; give each wearer a recording number of their own"
            )
        recordings.append(Recording(number, wearers.pop(), t, xyz[rows].astype(np.float32), codes[rows]))

    declared = meta.get("mmvq.rate_hz")
    rate = _declared_rate(declared, path) if declared else _median_rate(recordings, path)
    if not declared:
        notices.append(f"{path}: no rate declared; {rate:.4g} Hz by the median step of t_ms")
    return RecordingFile(path, tuple(recordings), names, rate, declared is not None, meta, tuple(notices))


def write_recordings(path: Path | str, file: RecordingFile) -> None:
    """Write a recording file, Parquet or (suffix .csv) CSV, atomically."""
    people = file.subjects
    texts = {  # names, and which of them every sample has; -1 for none
        "subject": (people, np.concatenate([np.full(len(r.t), people.index(r.subject)) for r in file.recordings])),
        "label": (file.labels, np.concatenate([r.label for r in file.recordings])),
    }
    numbers: dict[str, Column] = {
        "recording": np.concatenate([np.full(len(r.t), r.id, np.int32) for r in file.recordings]),
        # To the nanosecond: 1.009 s times 1000 is not 1009 in binary, and a file must come back as it was.
        "t_ms": np.round(np.concatenate([r.t for r in file.recordings]) * 1000.0, 6),
    }
    t_ms = np.asarray(numbers["t_ms"])
    if np.array_equal(t_ms, np.round(t_ms)):
        numbers["t_ms"] = t_ms.astype(np.int64)
    xyz = np.concatenate([r.xyz for r in file.recordings])
    numbers |= {axis: xyz[:, i] for i, axis in enumerate("xyz")}
    with atomic(path) as part:
        if Path(path).suffix == ".csv":
            columns = numbers | {k: [names[i] if i >= 0 else None for i in of] for k, (names, of) in texts.items()}
            with part.open("w", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(COLUMNS)
                writer.writerows(zip(*(columns[name] for name in COLUMNS), strict=True))
        else:
            pa, pq = _pyarrow(str(path))
            coded = {
                k: pa.DictionaryArray.from_arrays(pa.array(of, pa.int32(), mask=of < 0), pa.array(names, pa.string()))
                for k, (names, of) in texts.items()
            }
            table = pa.table({k: coded[k] if k in coded else numbers[k] for k in COLUMNS})
            meta = {**file.meta, "mmvq.rate_hz": f"{file.rate_hz:g}"}
            # Level 19 takes fourteen times as long and saves less than a hundredth.
            pq.write_table(table.replace_schema_metadata(meta), part, compression="zstd", compression_level=9)


def is_recording_header(line: str) -> bool:
    """Whether a text's first line is the header of a CSV recording."""
    return {"t_ms", "x", "y", "z"} <= {word.strip() for word in line.split(",")} and "recording" in line


def _pyarrow(path: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput(f"{path}: reading Parquet needs pyarrow; pip install 'mmvq[files]', or use CSV") from None
    return pyarrow, pyarrow.parquet


def _parquet_columns(data: bytes, path: str) -> tuple[dict[str, Column], dict[str, str]]:
    pa, pq = _pyarrow(path)
    damaged = (pa.ArrowException, OSError, UnicodeDecodeError)  # Arrow checks texts when they are asked for
    try:
        table = pq.read_table(pa.BufferReader(data))
        names, raw = table.schema.names, table.schema.metadata or {}
        meta = {k.decode(): v.decode() for k, v in raw.items() if k.startswith(b"mmvq.")}
    except damaged as error:
        said = " ".join(str(error).splitlines()[:1])
        raise BadInput(f"{path}: not a whole Parquet file ({said}); copy it again") from None
    _check_columns(names, path)
    columns: dict[str, Column] = {}
    for name in COLUMNS:
        column = table.column(name)
        if name in ("subject", "label"):
            try:
                columns[name] = _texts(column)
            except damaged:
                raise BadInput(f"{path}: column {name} holds {column.type} that is no text; mend it") from None
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            columns[name] = column.to_numpy()
        else:
            raise BadInput(f"{path}: column {name} holds {column.type}, not numbers; store it as a number")
    return columns, meta


def _texts(column: Any) -> list[str]:
    """An Arrow column as text, "" for null; by its few distinct values, as there may be millions of rows."""
    coded = column.cast(column.type.value_type) if hasattr(column.type, "value_type") else column
    coded = coded.combine_chunks().dictionary_encode()
    texts = np.array(["", *map(str, coded.dictionary.to_pylist())], dtype=object)
    found: list[str] = texts[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1].tolist()
    return found


def _csv_columns(data: bytes, path: str) -> tuple[dict[str, Column], dict[str, str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: neither Parquet nor text; a recording file is Parquet or CSV") from None
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise BadInput(f"{path}: no CSV ({error}); a recording file is Parquet or CSV") from None
    header, rows = [word.strip() for word in lines[0]] if lines else [], lines[1:]
    _check_columns(header, path)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise BadInput(f"{path}: row {number} has {len(row)} columns, the header {len(header)}; mend that row")
    return {name: [row[header.index(name)] for row in rows] for name in COLUMNS}, {}


def _check_columns(names: Iterable[str], path: str) -> None:
    found = list(names)
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise BadInput(
            f"{path}: column {missing[0]} is missing (found: {', '.join(found[:12]) or 'none'}); "
            f"a recording file has {', '.join(COLUMNS)}"
        )
    twice = [name for name in COLUMNS if found.count(name) > 1]
    if twice:
        raise BadInput(f"{path}: column {twice[0]} is there {found.count(twice[0])} times; leave one of them")


def _times(values: Column, path: str) -> Floats:
    t_ms = _numbers(values, "t_ms", path)
    beyond = np.flatnonzero(np.abs(t_ms) >= LATEST_MS)
    if len(beyond):
        raise BadInput(
            f"{path}: row {beyond[0] + 1}, column t_ms: {t_ms[beyond[0]]:g} is no time; "
            "t_ms is in milliseconds from the start"
        )
    return t_ms


def _numbers(values: Column, column: str, path: str) -> Floats:
    try:
        with np.errstate(invalid="ignore"):  # of a NaN that signals, which is named below
            numbers = np.asarray(values, dtype=np.float64)
    except ValueError:
        row = next(i for i, value in enumerate(values) if not _is_number(value))
        raise BadInput(f"{path}: row {row + 1}, column {column}: {values[row]!r} is not a number") from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise BadInput(
            f"{path}: row {bad[0] + 1}, column {column}: {numbers[bad[0]]} is not finite; "
            "leave lost samples out, time shows the gap"
        )
    return numbers


def _whole_numbers(values: Column, column: str, path: str) -> npt.NDArray[np.int64]:
    numbers = _numbers(values, column, path)
    broken = np.flatnonzero((numbers != np.round(numbers)) | (np.abs(numbers) >= 2**31))
    if len(broken):
        raise BadInput(
            f"{path}: row {broken[0] + 1}, column {column}: {numbers[broken[0]]:g} is no 32-bit whole number; "
            "recordings are numbered 0, 1, 2, ..."
        )
    return numbers.astype(np.int64)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _in_g(values: Floats, units: str, path: str) -> tuple[Floats, list[str]]:
    notices = []
    with np.errstate(over="ignore"):  # what is so large is named below
        median = float(np.median(np.linalg.norm(values, axis=1)))
    looks_ms2 = MS2_AT_REST[0] < median < MS2_AT_REST[1]
    if units == "ms2" or (units == "auto" and looks_ms2):
        if units == "auto":
            notices.append(f"{path}: the median acceleration is {median:.2f}: taken for m/s² and divided by 9.80665")
        values = values / STANDARD_GRAVITY
        looks_ms2 = False
    elif units.startswith("counts:"):
        values = values / counts_per_g(units)
        looks_ms2 = False
    elif units not in ("g", "auto"):
        raise BadInput(f"units {units!r} are unknown; use auto, g, ms2 or counts:N (counts a g)")
    over = np.argwhere(np.abs(values) > LIMIT_G)
    if len(over) or looks_ms2:
        row, axis = over[0] if len(over) else (0, int(np.argmax(np.abs(values[0]))))
        hint = "m/s² instead of g?" if looks_ms2 else "raw counts instead of g?"
        raise BadInput(
            f"{path}: row {row + 1}, column {'xyz'[axis]}: {values[row, axis]:g} with a median acceleration of "
            f"{median:.2f}: {hint} Divide by {'9.80665' if looks_ms2 else 'the counts of one g'}"
        )
    return values, notices


def counts_per_g(units: str) -> float:
    """N of "counts:N"."""
    try:
        counts = float(units.removeprefix("counts:"))
    except ValueError:
        counts = 0.0
    if not counts > 0:
        raise BadInput(f"units {units!r}: N in counts:N is how many counts make one g, such as counts:8192")
    return counts


def _declared_rate(text: str, path: str) -> float:
    rate = float(text) if _is_number(text) else 0.0
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise BadInput(f"{path}: mmvq.rate_hz is {text!r}; a rate lies between 1 and 10000 Hz")
    return rate


def _median_rate(recordings: Sequence[Recording], path: str) -> float:
    steps = np.concatenate([np.diff(r.t) for r in recordings])
    steps = steps[steps > 0]
    if len(steps) == 0:
        raise BadInput(f"{path}: column t_ms never moves, so there is no rate; t_ms is in milliseconds from the start")
    rate = float(1 / np.median(steps))
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise BadInput(
            f"{path}: column t_ms moves by {np.median(steps) * 1000:g} in the median, which makes {rate:.4g} Hz; "
            "t_ms is in milliseconds"
        )
    return rate
