"""Cut the recordings that ship inside the package from the WISDM watch data (CC BY 4.0, citation inside the file).

    python scripts/make_embedded_data.py ../shared/data/wisdm_watch

Twelve people who did all 18 activities, about 60 s of each from the middle of a recording; three of them from fold 0,
whom the packaged model never saw, are the fixed test people.
"""

import json
import sys
from pathlib import Path

import numpy as np

from mmvq_bridge.files import atomic
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings

SECONDS = 60.0
TEST, TRAIN_PER_FOLD = 3, (3, 2, 2, 2)
OUT = Path(__file__).parent.parent / "training" / "mmvq_train" / "embedded"


def middle(recording: Recording) -> Recording:
    """The middle minute, its time starting at 0."""
    start = max(0.0, (recording.t[0] + recording.t[-1] - SECONDS) / 2)
    keep = (recording.t >= start) & (recording.t < start + SECONDS)
    t = np.round((recording.t[keep] - recording.t[keep][0]) * 1000) / 1000
    return Recording(recording.id, recording.subject, t, recording.xyz[keep], recording.label[keep])


def main() -> None:
    """Choose people, cut, write."""
    folder = Path(sys.argv[1])
    source = read_recordings(folder / "wisdm_watch.parquet")
    folds = json.loads((folder / "splits.json").read_text())["folds"]
    done: dict[str, set[int]] = {}
    for r in source.recordings:
        done.setdefault(r.subject, set()).add(int(r.label[0]))
    whole = {s for s, labels in done.items() if len(labels) == len(source.labels)}
    chosen = {"0": [s for s in folds["0"] if s in whole][:TEST]}
    for k, count in enumerate(TRAIN_PER_FOLD, 1):
        chosen[str(k)] = [s for s in folds[str(k)] if s in whole][:count]
    people = {s for members in chosen.values() for s in members}
    seen: set[tuple[str, int]] = set()
    recordings = []
    for r in source.recordings:
        key = (r.subject, int(r.label[0]))
        if r.subject in people and key not in seen:
            seen.add(key)
            recordings.append(middle(r))
    meta = {**source.meta, "mmvq.name": "wisdm_watch_embedded"}
    file = RecordingFile("", tuple(recordings), source.labels, source.rate_hz, True, meta)
    write_recordings(OUT / "wisdm.parquet", file)
    rule = "fold 0: people of fold 0 of the whole set (never seen by the packaged model); they test by default"
    with atomic(OUT / "splits.json") as part:
        part.write_text(json.dumps({"rule": rule, "folds": chosen}, indent=1) + "\n")
    print(len(recordings), "recordings,", (OUT / "wisdm.parquet").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
