"""The text files of PAMAP2 (Reiss & Stricker 2012): a row a sample, 54 columns with spaces between, 100 Hz.

    1 seconds   2 activity   3 heart rate   4-20 hand   21-37 chest   38-54 ankle

Of the 17 columns of a body's part, the first is a temperature, the next three are the acceleration in m/s² at ±16 g:
those are taken (the ±6 g ones saturate in running, as its authors warn). Rows that the radio lost hold NaN; they are
left out, and time shows the gap. A file is one recording; its name, subject101.dat, names the person. Activity 0, what
lay between two others, stays unlabelled.
"""

import re
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.rows import numbers_of_rows, refuse_backwards
from mmvq_bridge.importers.units import in_g
from mmvq_bridge.recordings import Recording, RecordingFile

COLUMNS: Final = 54
RATE_HZ: Final = 100.0
FIRST: Final = {"hand": 4, "chest": 21, "ankle": 38}  # columns of x, counted from 0
WORN: Final = {"hand": "dominant wrist", "chest": "chest", "ankle": "dominant ankle"}
CITATION: Final = "Reiss, Stricker, Introducing a new benchmarked dataset for activity monitoring, ISWC 2012"
# Named as the shipped text bank has them, where it does.
ACTIVITIES: Final = {
    1: "lying", 2: "sitting", 3: "standing", 4: "walking", 5: "running", 6: "cycling", 7: "nordic_walking",
    9: "watching_tv", 10: "computer_work", 11: "car_driving", 12: "stairs_up", 13: "stairs_down", 16: "vacuuming",
    17: "ironing", 18: "folding_laundry", 19: "house_cleaning", 20: "playing_soccer", 24: "rope_jumping",
}  # fmt: skip


def is_pamap2(head: bytes) -> bool:
    """Whether a file with these first bytes is one: 54 numbers on its first line."""
    words = head.split(b"\n", 1)[0].split()
    return len(words) == COLUMNS and all(re.fullmatch(rb"-?[\d.]+(?:e[-+]\d+)?|NaN", word) for word in words)


def read_pamap2(path: Path, position: str = "hand") -> RecordingFile:
    """A file's recording at a `position` of FIRST. BadInput naming the line for what cannot be meant."""
    if position not in FIRST:
        raise BadInput(f"{path}: PAMAP2 was not worn at {position!r}; give --position {', '.join(FIRST)}")
    x = FIRST[position]
    # The last column is read as well: a row that was cut short lacks it.
    pieces = [np.empty((0, 7)), *numbers_of_rows(path, (0, 1, x, x + 1, x + 2, COLUMNS - 1), None)]
    rows = np.concatenate(pieces)
    lost = ~np.isfinite(rows[:, 3:6]).all(axis=1)
    number, t, activity, ms2 = rows[~lost, 0], rows[~lost, 1], rows[~lost, 2], rows[~lost, 3:6]
    if len(t) < 2:
        raise BadInput(f"{path}: no acceleration in it at the {position}; unpack it again")
    unknown = np.flatnonzero(~np.isin(activity, [0, *ACTIVITIES]) | ~np.isfinite(t))
    if len(unknown):
        at = unknown[0]
        raise BadInput(
            f"{path}: line {number[at]:.0f}: time {t[at]:g}, activity {activity[at]:g}: PAMAP2 has activities "
            f"{', '.join(map(str, ACTIVITIES))} and 0"
        )
    refuse_backwards(t, number, path)
    xyz, notices = in_g(ms2, "ms2", path, lambda row: f"line {number[row]:.0f}")
    if lost.any():
        notices.append(f"{path}: {np.count_nonzero(lost)} of {len(rows)} rows were lost at the {position}: left out")
    labels = tuple(sorted(ACTIVITIES[int(code)] for code in np.unique(activity) if code))
    index = {code: labels.index(name) for code, name in ACTIVITIES.items() if name in labels}
    label = np.array([index.get(code, -1) for code in range(max(ACTIVITIES) + 1)], np.int32)[activity.astype(np.int64)]
    named = re.fullmatch(r"subject(\d+)", path.stem)
    recording = Recording(0, named.group(1) if named else "", np.round(t - t[0], 6), xyz.astype(np.float32), label)
    meta = {"mmvq.citation": CITATION, "mmvq.position": WORN[position]}
    return RecordingFile(str(path), (recording,), labels, RATE_HZ, True, meta, tuple(notices))
