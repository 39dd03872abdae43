"""Samples, recordings with labels, and what a recorder's journal tells: shared by its tests."""

import io
from typing import Final

import numpy as np

from mmvq_bridge.recorder.journal import parse
from mmvq_bridge.recordings import Recording, RecordingFile
from mmvq_bridge.stream.timed import Samples

RATE_HZ: Final = 100.0


def samples(first: int, n: int) -> Samples:
    i = np.arange(first, first + n)
    return Samples(i / RATE_HZ, np.stack([np.sin(i), np.cos(i), i / 1000], axis=1))


def parsed(data: bytes) -> RecordingFile:
    return parse(io.BytesIO(data), "walk.part")


def labelled(file: RecordingFile, recording: int = 0) -> list[tuple[float, str]]:
    """Where labels change in a recording."""
    found = file.recordings[recording]
    names = [*file.labels, ""]
    changes = np.flatnonzero(np.diff(found.label, prepend=-1))
    return [(round(float(found.t[i]), 3), names[found.label[i]]) for i in changes]


def a_file(path: str, *stretches: tuple[str, float], rate_hz: float = RATE_HZ) -> RecordingFile:
    """One recording with labels one after another."""
    names = tuple(sorted({name for name, _ in stretches if name}))
    label = np.concatenate([np.full(round(s * rate_hz), names.index(n) if n else -1, np.int32) for n, s in stretches])
    t = np.arange(len(label)) / rate_hz
    recording = Recording(0, "anna", t, np.zeros((len(t), 3), np.float32), label)
    return RecordingFile(path, (recording,), names, rate_hz, True)
