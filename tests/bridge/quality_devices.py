"""Devices whose errors are known, and what they measure of a wearer who rests and moves."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from mmvq_bridge.findings import Finding
from mmvq_bridge.quality import Quality, judge
from mmvq_bridge.recordings import Recording, RecordingFile

HZ: Final = 20.0
UP: Final = (0.0, 0.0, 1.0)  # g
NOISE_G: Final = 0.004
GAIN: Final = (1.02, 0.97, 1.01)
OFFSET: Final = (0.03, -0.05, 0.02)


def directions(count: int, seed: int = 0) -> np.ndarray:
    """Ways to lie, anywhere on the sphere, (count, 3) in g."""
    drawn = np.random.default_rng(seed).normal(size=(count, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def held(*bouts: tuple[float, Sequence[float], float], hz: float = HZ, seed: int = 0) -> np.ndarray:
    """What a true device measures in bouts of (seconds, direction in g, deviation in g), (n, 3)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(way, moved, (round(s * hz), 3)) for s, way, moved in bouts])


def measured(true: np.ndarray, gain: Sequence[float] = GAIN, offset: Sequence[float] = OFFSET) -> np.ndarray:
    """What a device shows of it that gain and offset would mend."""
    return (true - offset) / gain


def recording(
    xyz: np.ndarray, hz: float = HZ, t: np.ndarray | None = None, subject: str = "", id: int = 0
) -> Recording:
    """A recording of it, without labels, at an even rate unless times (n,) are given."""
    times = np.arange(len(xyz)) / hz if t is None else t
    return Recording(id, subject, times, xyz.astype(np.float32), np.full(len(xyz), -1, np.int32))


def file_of(*recordings: Recording, hz: float = HZ, **more: object) -> RecordingFile:
    """A file of recordings."""
    return RecordingFile("somewhere/left.cwa", recordings, (), hz, True, **more)


def found(quality: Quality, kind: str) -> Finding:
    """The one finding of a kind."""
    (finding,) = [finding for finding in judge(quality) if finding.kind == kind]
    return finding


def a_day_with_a_rest(gap_s: float = 0.0) -> RecordingFile:
    """An hour worn, 100 minutes on a table, and, after a gap if there is one, an hour worn."""
    xyz = held((3600, UP, 0.1), (6000, UP, 0.002), (3600, UP, 0.1), hz=2)
    t = 77 + np.arange(len(xyz)) / 2
    t[2 * 9600 :] += gap_s
    return file_of(recording(xyz, t=t), hz=2)
