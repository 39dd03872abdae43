"""What a recording is while it grows: a CSV with the columns of a recording file, and rows that are no samples. Pure.

    recording,subject,label,t_ms,x,y,z
    0,anna,settle_s=2,,,,                 without t_ms: a fact about all of it
    0,anna,,10.000,0.0122,-0.998,0.0312   a sample, in session time (which goes on over resets and lost ports)
    0,anna,walking,8012.500,,,            without x, y, z: a word of `labels`, at that time

So nothing that was written is ever changed, and whatever ended it, the rows up to there make the same file as they
would have otherwise. A last row without its end of line is half a row and left out.
"""

import csv
import io
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.recorder.labels import SETTLE_S, Labels
from mmvq_bridge.recordings import COLUMNS, LATEST_MS, LIMIT_G, RATES_HZ, Floats, Recording, RecordingFile
from mmvq_bridge.stream.timed import Samples

RATE: Final = "mmvq.rate_hz"
DEVICE: Final = "mmvq.device"
SETTLE: Final = "settle_s"
HEADER: Final = (",".join(COLUMNS) + "\n").encode()
LEAST_SAMPLES: Final = 2  # which have a rate; a file of one could not be read again


@dataclass(frozen=True)
class Word:
    """A word of `labels` at session time `t`, in seconds."""

    t: float
    word: str


@dataclass(frozen=True)
class Fact:
    """Something about the whole file: metadata of DESIGN 3.1, or the settle time."""

    key: str
    value: str


@dataclass(frozen=True)
class Row:
    """`told` belongs to recording `number`."""

    number: int
    told: Samples | Word | Fact


def encode(rows: Iterable[Row], subject: str) -> bytes:
    """Rows as a journal holds them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        told = row.told
        if isinstance(told, Samples):
            # Microseconds are what devices tell, and nine digits give a float32 back as it was.
            writer.writerows(
                (row.number, subject, "", f"{1000 * t:.3f}", f"{x:.9g}", f"{y:.9g}", f"{z:.9g}")
                for t, (x, y, z) in zip(told.t.tolist(), told.xyz.astype(np.float32).tolist(), strict=True)
            )
        elif isinstance(told, Word):
            writer.writerow((row.number, subject, told.word, f"{1000 * told.t:.3f}", "", "", ""))
        else:
            writer.writerow((row.number, subject, f"{told.key}={told.value}", "", "", "", ""))
    return out.getvalue().encode()


def parse(lines: Iterable[bytes], path: str) -> RecordingFile:
    """The recordings of a journal, by its lines. Rows that are none are left out, with a notice.

    BadInput if it is no journal, or there are not two samples in it.
    """
    heard, damaged = _Heard(), 0
    rows = (line for line in lines if line.endswith(b"\n"))
    if next(rows, b"") != HEADER:
        raise BadInput(f"{path}: no recording that was begun; give --out the name that record was given")
    for line in rows:
        try:
            text = line[:-1].decode()
            heard.take(next(csv.reader([text])) if '"' in text else text.split(","))
        except (ValueError, csv.Error):
            damaged += 1
    if sum(len(found.t_ms) for found in heard.recordings.values()) < LEAST_SAMPLES or not heard.rate_hz:
        raise BadInput(f"{path}: no samples in it, so there is nothing to finish; delete it")
    return heard.file(path, (f"{path}: {damaged} damaged rows are left out",) if damaged else ())


def devices(*texts: str) -> str:
    """Several values of DEVICE as one."""
    return ", ".join(dict.fromkeys(uid for text in texts for uid in text.split(", ") if uid))


@dataclass
class _Columns:
    subject: str
    t_ms: "array[float]" = field(default_factory=lambda: array("d"))
    xyz: "array[float]" = field(default_factory=lambda: array("f"))


class _Heard:
    """Rows so far. In typed arrays, as a day of samples must not fill a small board's memory."""

    def __init__(self) -> None:
        self.recordings: dict[int, _Columns] = {}
        self.rate_hz = 0.0
        self._settle_s = SETTLE_S
        self._meta: dict[str, str] = {}
        self._labels = Labels()
        self._latest_ms = -LATEST_MS

    def take(self, row: Sequence[str]) -> None:
        """ValueError if it is no row."""
        number, subject, label, t_ms, x, y, z = row
        if not t_ms:
            self._fact(*label.split("=", 1))
        elif x or y or z:
            self._sample(int(number), subject, float(t_ms), (float(x), float(y), float(z)))
        else:
            self._word(float(t_ms), label)

    def _fact(self, key: str, value: str = "") -> None:
        if key == RATE and RATES_HZ[0] <= float(value) <= RATES_HZ[1]:
            self.rate_hz = float(value)
        elif key == SETTLE and float(value) >= 0:
            self._settle_s = float(value)
        elif key == DEVICE:
            self._meta[DEVICE] = devices(self._meta.get(DEVICE, ""), value)
        elif key.startswith("mmvq."):
            self._meta[key] = value
        else:
            raise ValueError(key)

    def _word(self, t_ms: float, word: str) -> None:
        if not abs(t_ms) < LATEST_MS:
            raise ValueError(t_ms)
        self._labels.take(t_ms / 1000, word)

    def _sample(self, number: int, subject: str, t_ms: float, xyz: tuple[float, float, float]) -> None:
        if not self._latest_ms <= t_ms < LATEST_MS or not all(abs(value) <= LIMIT_G for value in xyz):
            raise ValueError(t_ms)
        self._latest_ms = t_ms
        columns = self.recordings.setdefault(number, _Columns(subject))
        columns.t_ms.append(t_ms)
        columns.xyz.extend(xyz)

    def file(self, path: str, notices: tuple[str, ...]) -> RecordingFile:
        stretches = self._labels.stretches(self._latest_ms / 1000 + 1 / self.rate_hz, self._settle_s)
        names = self._labels.names
        recordings = []
        for number, columns in self.recordings.items():
            session_ms: Floats = np.array(columns.t_ms)
            label = np.full(len(session_ms), -1, np.int32)
            for begin, until, name in stretches:
                held = slice(*np.searchsorted(session_ms, [1000 * begin, 1000 * until]))
                label[held] = names.index(name)
            t = np.round(session_ms - session_ms[0], 3) / 1000
            xyz = np.array(columns.xyz, np.float32).reshape(-1, 3)
            recordings.append(Recording(number, columns.subject, t, xyz, label))
        return RecordingFile(path, tuple(recordings), names, self.rate_hz, True, self._meta, notices)
