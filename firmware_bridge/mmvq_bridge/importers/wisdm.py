"""The text files of the WISDM data sets, a record a sample: user, activity, time, and x, y, z in m/s².

    33,Jogging,49105962326000,-0.6946377,12.680544,0.50395286;     v1.1, a phone; of Actitracker too, in milliseconds
    1600,A,252207666810782,-0.36476135,8.793503,1.0550842;         smartphone and smartwatch (UCI 507)

They are not clean: records without a semicolon, with a comma before it, several on a line, cut short; time 0 where no
sample was; samples that are there twice or more. What cannot be read is counted and said, up to a tenth of a file.

A recording ends where user or activity change, where time runs backwards (the phone was started again), and where
nothing comes for a minute: that is another session.
"""

import re
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.rows import pieces_of_lines, shown
from mmvq_bridge.importers.units import WEIGHTLESS_G, in_g, seconds_per_tick
from mmvq_bridge.recordings import STANDARD_GRAVITY, Floats, Recording, RecordingFile

# Letters of "smartphone and smartwatch"; there is no N.
ACTIVITIES: Final = {
    "A": "walking", "B": "jogging", "C": "stairs", "D": "sitting", "E": "standing", "F": "typing", "G": "teeth",
    "H": "soup", "I": "chips", "J": "pasta", "K": "drinking", "L": "sandwich", "M": "kicking", "O": "catch",
    "P": "dribbling", "Q": "writing", "R": "clapping", "S": "folding",
}  # fmt: skip
CITE_LETTERS: Final = "Weiss, Yoneda, Hayajneh, IEEE Access 7:133190-133202, 2019"
CITE_WORDS: Final = "Kwapisz, Weiss, Moore, SIGKDD Explorations 12(2):74-82, 2011"
NOMINAL_HZ: Final = 20.0  # of all of them, by their papers
NEAR: Final = 0.1  # of it: a measured rate that is so close is taken for it
APART_S: Final = 60.0  # without a sample: two sessions. Shorter gaps are a recording's own
MOST_DAMAGED: Final = 0.1  # of a file's records: with more, it is something else
LOOKED_AT: Final = 20  # lines in which to find a record, to tell the format

_COMMA: Final = rb"\s*,\s*"
_NUMBER: Final = rb"(-?\d{1,4}(?:\.\d{0,17})?(?:[eE]-?\d{1,2})?)"
_FIELDS: Final = (rb"(\d{1,9})", rb"([A-Za-z]{1,32})", rb"(\d{1,18})", _NUMBER, _NUMBER, _NUMBER)
_RECORD: Final = re.compile(rb"\s*" + _COMMA.join(_FIELDS) + rb"\s*,?\s*")

# activity: an index into the words of the file; xyz: m/s²
_SAMPLE: Final = np.dtype(
    [("line", np.int64), ("user", np.int64), ("activity", np.int64), ("time", np.int64), ("xyz", np.float64, 3)]
)

Samples = npt.NDArray[np.void]  # of _SAMPLE


def is_wisdm(head: bytes) -> bool:
    """Whether a file with these first bytes is one."""
    records = [text for line in head.split(b"\n", LOOKED_AT)[:LOOKED_AT] for text in line.split(b";")]
    return any(_RECORD.fullmatch(text) for text in records)


def read_wisdm(path: Path) -> RecordingFile:
    """A file's recordings, labelled in small letters; what was left out is told in its notices.

    BadInput for a letter that is no activity, a value over 32 g, a gyroscope's file, and one that is damaged in more
    than a tenth of its records.
    """
    samples, words, notices = _read(path)
    for what, test in (("have time 0, where there was no sample", _timeless), ("repeat the time before", _again)):
        out = test(samples)
        if out.any():
            lines = samples["line"][out]
            notices.append(f"{path}: {len(lines)} records {what}: left out; first: line {lines[0]}")
        samples = samples[~out]
    if len(samples) < 2:
        raise BadInput(f"{path}: no two records of user,activity,time,x,y,z that can be used; unpack it again")
    median = float(np.median(np.linalg.norm(samples["xyz"], axis=1)))
    if median < WEIGHTLESS_G * STANDARD_GRAVITY:
        raise BadInput(
            f"{path}: a median of {median:.2g} has no gravity in it: a gyroscope's file? Give those of the "
            "accelerometer, such as the folder raw/watch/accel"
        )
    samples["xyz"], _ = in_g(samples["xyz"], "ms2", path, lambda row: f"line {samples['line'][row]}")
    names = [_label(word, samples["line"][samples["activity"] == i], path) for i, word in enumerate(words)]
    labels = tuple(sorted(set(names)))
    label = np.array([labels.index(name) for name in names], np.int32)
    recordings, steps = _cut(samples, label, path)
    if len(recordings) == 0:
        raise BadInput(f"{path}: no two records follow one another in time; unpack it again")
    alone = len(samples) - sum(len(recording.t) for recording in recordings)
    if alone:
        notices.append(f"{path}: {alone} records stand alone: left out")
    rate_hz = float(f"{1 / np.median(steps):.4g}")
    if abs(rate_hz / NOMINAL_HZ - 1) <= NEAR:
        rate_hz = NOMINAL_HZ
    else:
        notices.append(f"{path}: it has {rate_hz:g} Hz by the median step of its times, not WISDM's {NOMINAL_HZ:g} Hz")
    citation = CITE_LETTERS if all(len(word) == 1 for word in words) else CITE_WORDS
    return RecordingFile(str(path), recordings, labels, rate_hz, True, {"mmvq.citation": citation}, tuple(notices))


def _timeless(samples: Samples) -> npt.NDArray[np.bool_]:
    return np.asarray(samples["time"] == 0)


def _again(samples: Samples) -> npt.NDArray[np.bool_]:
    same = (np.diff(samples["time"]) == 0) & (np.diff(samples["user"]) == 0)
    return np.append(np.zeros(min(1, len(samples)), bool), same)


def _read(path: Path) -> tuple[Samples, list[bytes], list[str]]:
    """All records that can be read, the words that `activity` counts, and what is to be said of the others."""
    words: dict[bytes, int] = {}
    pieces = [np.empty(0, _SAMPLE)]
    damaged, first, total = 0, "", 0
    for begin, lines in pieces_of_lines(path):
        records = [(i, text) for i, line in enumerate(lines, begin) for text in line.split(b";") if text.strip()]
        found = [_RECORD.fullmatch(text) for _, text in records]
        total += len(records)
        damaged += found.count(None)
        if not first and None in found:
            line, text = records[found.index(None)]
            first = f"line {line} ({shown(text)})"
        columns = list(zip(*(match.groups() for match in found if match), strict=True))
        if columns:
            piece = np.empty(len(columns[0]), _SAMPLE)
            piece["line"] = [line for (line, _), match in zip(records, found, strict=True) if match]
            piece["user"] = np.array(columns[0], "S9").astype(np.int64)
            piece["activity"] = [words.setdefault(word, len(words)) for word in columns[1]]
            piece["time"] = np.array(columns[2], "S18").astype(np.int64)
            piece["xyz"] = np.array(columns[3:], "S32").astype(np.float64).T
            pieces.append(piece)
    if damaged > MOST_DAMAGED * total:
        raise BadInput(
            f"{path}: {damaged} of {total} records are no user,activity,time,x,y,z; first: {first}; unpack it again"
        )
    notices = [f"{path}: {damaged} of {total} records are damaged: left out; first: {first}"] if damaged else []
    return np.concatenate(pieces), list(words), notices


def _label(word: bytes, lines: npt.NDArray[np.int64], path: Path) -> str:
    text = word.decode()
    if len(text) > 1:
        return text.lower()
    if text not in ACTIVITIES:
        raise BadInput(f"{path}: line {lines[0]}: {text!r} is no activity; they are the letters {''.join(ACTIVITIES)}")
    return ACTIVITIES[text]


def _cut(samples: Samples, label: npt.NDArray[np.int32], path: Path) -> tuple[tuple[Recording, ...], Floats]:
    """Recordings of two samples and more, and the steps of time in them, in seconds. label: of each word."""
    tick_s, _ = seconds_per_tick(samples["time"].astype(np.float64), path)
    steps = np.diff(samples["time"]) * tick_s
    other = (np.diff(samples["user"]) != 0) | (np.diff(label[samples["activity"]]) != 0)
    ends = other | (steps < 0) | (steps > APART_S)
    recordings: list[Recording] = []
    for part in np.split(samples, np.flatnonzero(ends) + 1):
        if len(part) > 1:
            t = (part["time"] - part["time"][0]) * tick_s
            xyz = part["xyz"].astype(np.float32)
            recordings.append(Recording(len(recordings), str(part["user"][0]), t, xyz, label[part["activity"]]))
    return tuple(recordings), steps[~ends]
