"""Windows of training, calibration and test people. Windows are cut inside a split, by the runtime's own code.

With one wearer (or none named) the split is in time, one window of guard between the parts: a weaker test, loudly said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import RecordingFile, read_recordings
from mmvq_run.signal import Split, cut_recording, load_folds, split_by_subject, subject_folds
from mmvq_train import embedded
from mmvq_train.config import Config

TRAIN_UNTIL, CALIBRATE_UNTIL = 0.6, 0.75  # of a single wearer's time


@dataclass(frozen=True)
class WindowSet:
    """x float32 (N, window, 3) in g, y int64 (N,), subject (N,)."""

    x: Tensor
    y: Tensor
    subject: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Dataset:
    """A recording file as the stages need it."""

    name: str
    labels: tuple[str, ...]
    train: WindowSet
    calibrate: WindowSet
    test: WindowSet
    split: str
    subjects: int
    meta: dict[str, str]
    notices: tuple[str, ...] = field(default=())


def load_dataset(config: Config) -> Dataset:
    """Read, cut and split. Raises BadInput where the data cannot train anything."""
    path = config.data or str(embedded.RECORDINGS)
    file = read_recordings(path)
    notices = list(file.notices)
    if not file.labels:
        raise BadInput(f"{path}: no row has a label; training needs the column label filled")
    x, y, subject, order = _windows(file, config)
    used = np.flatnonzero(np.bincount(y, minlength=len(file.labels))) if len(y) else np.array([], dtype=int)
    if len(used) < 2:
        raise BadInput(
            f"{path}: {len(y)} labelled windows of {config.window_s:g} s with {len(used)} labels; training needs at "
            "least two labels with uninterrupted stretches that long (see --window-s)"
        )
    labels = tuple(file.labels[i] for i in used)
    y = np.searchsorted(used, y)
    wearers = [s for s in file.subjects if s]
    if len(wearers) <= 1:
        notices.append(
            "WARNING: one wearer only, so the split is in time: the figures say nothing about other people"
        )
        split_name, part = "time", _time_split(y, order, config, (TRAIN_UNTIL, CALIBRATE_UNTIL))
    else:
        source = config.split or (str(embedded.SPLITS) if config.data is None else None)
        split = split_by_subject(
            load_folds(source) if source else subject_folds(wearers), config.fold, sorted(set(subject))
        )
        split_name, part = "subject", _subject_split(split, subject, y, order, config)
    sets = [
        WindowSet(torch.from_numpy(x[part == i]), torch.from_numpy(y[part == i]).long(), subject[part == i])
        for i in range(3)
    ]
    for name, found in zip(("train", "calibrate", "test"), sets, strict=True):
        if len(found) == 0:
            raise BadInput(f"{path}: no windows left to {name} on; more recordings or a shorter --window-s are needed")
    missing = sorted(set(range(len(labels))) - set(sets[0].y.tolist()))
    if missing:
        raise BadInput(f"{path}: no training person has label {labels[missing[0]]!r}; choose another --fold or --split")
    return Dataset(
        file.name, labels, sets[0], sets[1], sets[2], split_name, max(1, len(wearers)), dict(file.meta), tuple(notices)
    )


def _windows(
    file: RecordingFile, config: Config
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    """Windows, labels, subjects, and a clock (seconds, recordings one after another) of the trainable windows."""
    x: list[npt.NDArray[np.float32]] = []
    y: list[int] = []
    subject: list[str] = []
    clock: list[float] = []
    base = 0.0
    for recording in file.recordings:
        windows, labels = cut_recording(recording, file.rate_hz, config.rate_hz, config.window, config.hop_s)
        for window, label in zip(windows, labels, strict=True):
            if label >= 0:
                x.append(window.xyz)
                y.append(int(label))
                subject.append(recording.subject)
                clock.append(base + window.start)
        base += float(recording.t[-1] - recording.t[0]) + config.window_s
    stacked = np.stack(x) if x else np.empty((0, config.window, 3), dtype=np.float32)
    return stacked, np.array(y, dtype=np.int64), np.array(subject, dtype=np.str_), np.array(clock)


def _subject_split(
    split: Split,
    subject: npt.NDArray[np.str_],
    y: npt.NDArray[np.int64],
    clock: npt.NDArray[np.float64],
    config: Config,
) -> npt.NDArray[np.int64]:
    part = np.full(len(subject), -1)
    for i, members in enumerate((split.train, split.calibrate, split.test)):
        part[np.isin(subject, members)] = i
    if not split.calibrate:  # one training person: hold out a part of their time instead
        own = np.flatnonzero(part == 0)
        inner = _time_split(y[own], clock[own], config, (TRAIN_UNTIL + 0.2, 1.0))
        part[own] = np.where(inner == 2, 1, inner)
    return part


def _time_split(
    y: npt.NDArray[np.int64], clock: npt.NDArray[np.float64], config: Config, until: Sequence[float]
) -> npt.NDArray[np.int64]:
    """0 train, 1 calibrate, 2 test, -1 guard; for every label apart, in order of time."""
    part = np.full(len(y), -1)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        rows = rows[np.argsort(clock[rows], kind="stable")]
        bounds = [round(share * len(rows)) for share in until]
        begin = 0
        for i, end in enumerate([*bounds, len(rows)]):
            block = rows[begin:end]
            if i > 0 and begin > 0:
                block = block[clock[block] >= clock[rows[begin - 1]] + config.window_s]
            part[block] = i
            begin = end
    return part
