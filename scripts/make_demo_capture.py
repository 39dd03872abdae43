"""Make runtime/mmvq_run/packaged/demo.mmvqcap: what a wearable of a WISDM person sends while doing six things.

    python scripts/make_demo_capture.py ../shared/data/wisdm_watch

The person is of fold 0, so the packaged model has not trained on them. The same data give the same bytes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.files import atomic
from mmvq_bridge.recordings import RecordingFile, read_recordings
from mmvq_bridge.stream.records import END, MAGIC, Kind, Opening, Record, encode, opened
from mmvq_run.signal import load_folds

SUBJECT: Final = "1625"
ACTIVITIES: Final = ("sitting", "walking", "stairs", "jogging", "typing", "clapping")
LENGTH_S: Final = 28.0  # of each activity: 18 windows of 10 s at a hop of 1 s
START_S: Final = 60.0  # into the recording, where the person has settled
WALL: Final = "2026-11-22T10:00:00Z"
COUNTS_PER_G: Final = 8192
LATENCY_NS: Final = 4_000_000  # from the device to the host, as over USB
OUT: Final = Path(__file__).parents[1] / "runtime" / "mmvq_run" / "packaged" / "demo.mmvqcap"

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Write the capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with wisdm_watch.parquet and splits.json")
    data = parser.parse_args().data
    if SUBJECT not in load_folds(data / "splits.json")["0"]:
        raise SystemExit(f"subject {SUBJECT} is not in fold 0")
    file = read_recordings(data / "wisdm_watch.parquet")
    t, xyz = _joined([_excerpt(file, activity) for activity in ACTIVITIES], file.rate_hz)
    device = SimulatedDevice(t, xyz, file.rate_hz, counts_per_g=COUNTS_PER_G, boot_id=1)
    records = [opened(0, Opening("demo: WISDM person 1625", WALL))]
    for due_s, frame in device.frames_until(device.duration_s):
        records.append(Record(round(due_s * 1e9) + LATENCY_NS, Kind.BYTES, frame))
    records.append(Record(records[-1].host_ns, Kind.CLOSED, END))
    with atomic(OUT) as part:
        part.write_bytes(MAGIC + b"".join(map(encode, records)))
    print(f"{OUT}: {OUT.stat().st_size} bytes, {device.duration_s:.1f} s, {', '.join(ACTIVITIES)}")


def _excerpt(file: RecordingFile, activity: str) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Seconds (n,) from 0 and g (n, 3) of the person's first recording of an activity."""
    recording = next(
        recording
        for recording in file.recordings
        if recording.subject == SUBJECT and file.labels[recording.label[0]] == activity
    )
    t = recording.t - recording.t[0]
    start, end = np.searchsorted(t, [START_S, START_S + LENGTH_S])
    return t[start:end] - t[start], recording.xyz[start:end]


def _joined(
    pieces: Sequence[tuple[Floats, npt.NDArray[np.float32]]], rate_hz: float
) -> tuple[Floats, npt.NDArray[np.float32]]:
    """One wearing without gaps: each piece starts one sample after the one before."""
    times: list[Floats] = []
    start = 0.0
    for t, _ in pieces:
        times.append(t + start)
        start = float(times[-1][-1]) + 1 / rate_hz
    return np.concatenate(times), np.concatenate([xyz for _, xyz in pieces])


if __name__ == "__main__":
    main()
