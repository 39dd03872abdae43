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

    def some(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "WindowSet":
        """Some of the windows."""
        chosen = torch.from_numpy(rows)
        return WindowSet(self.x[chosen], self.y[chosen], self.subject[rows])


@dataclass(frozen=True)
class Dataset:
    """A recording file as the stages need it."""

    name: str
    labels: tuple[str, ...]
    train: WindowSet
    calibrate: WindowSet
    test: WindowSet
    split: str  # "subject", or "time" for a single wearer
    subjects: int
    meta: dict[str, str]
    notices: tuple[str, ...] = field(default=())
    unlabelled: Tensor | None = None  # (n, window, 3) in g, for teachers alone to judge


def load_dataset(config: Config) -> Dataset:
    """Read, cut and split. Raises BadInput where the data cannot train anything."""
    path = config.data or str(embedded.RECORDINGS)
    file = read_recordings(path)
    notices = list(file.notices)
    if not file.labels:
        raise BadInput(f"{path}: no row has a label; training needs the column label filled")
    cut = _cut(file, config, config.hop)
    used = np.flatnonzero(np.bincount(cut.y, minlength=len(file.labels))) if len(cut.y) else np.array([], dtype=int)
    if len(used) < 2:
        raise BadInput(
            f"{path}: {len(cut.y)} labelled windows of {config.window_s:g} s with {len(used)} labels; training needs "
            "at least two labels with uninterrupted stretches that long (see --window-s)"
        )
    labels = tuple(file.labels[i] for i in used)
    wearers = [s for s in file.subjects if s]
    if len(wearers) <= 1:
        notices.append(
            "WARNING: one wearer only, so the split is in time: the figures say nothing about other people"
        )
        split_name, part = "time", _time_split(cut, config, (TRAIN_UNTIL, CALIBRATE_UNTIL))
        sets = [_select(cut, part == i, used) for i in range(3)]
    else:
        source = config.split or (str(embedded.SPLITS) if config.data is None else None)
        split = split_by_subject(
            load_folds(source) if source else subject_folds(wearers), config.fold, sorted(set(cut.subject))
        )
        split_name, part = "subject", _subject_split(split, cut, config)
        sets = [_select(cut, part == i, used) for i in range(3)]
        if split.calibrate:  # whole people on each side, so windows to fit on may lie as densely as one likes
            dense = _cut(file, config, config.train_hop)
            known = np.isin(dense.y, used)
            sets[:2] = [_select(dense, known & np.isin(dense.subject, s), used) for s in (split.train, split.calibrate)]
    for name, found in zip(("train", "calibrate", "test"), sets, strict=True):
        if len(found) == 0:
            raise BadInput(f"{path}: no windows left to {name} on; more recordings or a shorter --window-s are needed")
    missing = sorted(set(range(len(labels))) - set(sets[0].y.tolist()))
    if missing:
        raise BadInput(f"{path}: no training person has label {labels[missing[0]]!r}; choose another --fold or --split")
    unlabelled = None
    if config.unlabelled is not None:
        unlabelled, people = _unlabelled(config.unlabelled, config)
        for found, what, spoilt in (
            (sets[2], "are tested too", "the figures are of"), (sets[1], "calibrate too", "confidence is fitted on")
        ):
            told = sorted(people & set(found.subject.tolist()) - {""})
            if told:
                notices.append(
                    f"WARNING: {config.unlabelled} has people who {what} ({', '.join(told)}): {spoilt} people whose "
                    "movements, though not their labels, training has seen"
                )
    return Dataset(
        file.name, labels, sets[0], sets[1], sets[2], split_name, max(1, len(wearers)), dict(file.meta),
        tuple(notices), unlabelled,
    )


def _unlabelled(path: str, config: Config) -> tuple[Tensor, set[str]]:
    """Every window of that file, whatever its labels, and whose they are."""
    cut = _cut(read_recordings(path), config, config.hop, labelled=False)
    if len(cut.y) == 0:
        raise BadInput(f"{path}: no uninterrupted stretch of {config.window_s:g} s in it (see --window-s)")
    return torch.from_numpy(cut.x), set(cut.subject.tolist())


@dataclass(frozen=True)
class _Cut:
    """Windows of a whole file; `clock`: seconds, recordings one after another."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    subject: npt.NDArray[np.str_]
    clock: npt.NDArray[np.float64]


def _cut(file: RecordingFile, config: Config, hop_s: float, labelled: bool = True) -> _Cut:
    """All windows, or only those that one may train on."""
    x: list[npt.NDArray[np.float32]] = []
    y: list[int] = []
    subject: list[str] = []
    clock: list[float] = []
    base = 0.0
    for recording in file.recordings:
        windows, labels = cut_recording(recording, file.rate_hz, config.rate_hz, config.window, hop_s)
        for window, label in zip(windows, labels, strict=True):
            if label >= 0 or not labelled:
                x.append(window.xyz)
                y.append(int(label))
                subject.append(recording.subject)
                clock.append(base + window.start)
        base += float(recording.t[-1] - recording.t[0]) + config.window_s
    stacked = np.stack(x) if x else np.empty((0, config.window, 3), dtype=np.float32)
    return _Cut(stacked, np.array(y, dtype=np.int64), np.array(subject, dtype=np.str_), np.array(clock))


def _select(cut: _Cut, rows: npt.NDArray[np.bool_], used: npt.NDArray[np.int64]) -> WindowSet:
    """Some rows, their labels counted among those in use."""
    y = np.searchsorted(used, cut.y[rows])
    return WindowSet(torch.from_numpy(cut.x[rows]), torch.from_numpy(y).long(), cut.subject[rows])


def _subject_split(split: Split, cut: _Cut, config: Config) -> npt.NDArray[np.int64]:
    part = np.full(len(cut.y), -1)
    for i, members in enumerate((split.train, split.calibrate, split.test)):
        part[np.isin(cut.subject, members)] = i
    if not split.calibrate:  # one training person: hold out a part of their time instead
        own = np.flatnonzero(part == 0)
        held = _time_split(_Cut(cut.x[own], cut.y[own], cut.subject[own], cut.clock[own]), config, (CALIBRATE_UNTIL,))
        part[own] = held
    return part


def _time_split(cut: _Cut, config: Config, until: Sequence[float]) -> npt.NDArray[np.int64]:
    """Part 0, 1, ... up to each share in `until` and then the rest, -1 for the guard of one window between; for every
    label apart, in order of time."""
    part = np.full(len(cut.y), -1)
    for label in np.unique(cut.y):
        rows = np.flatnonzero(cut.y == label)
        rows = rows[np.argsort(cut.clock[rows], kind="stable")]
        begin = 0
        for i, end in enumerate([*(round(share * len(rows)) for share in until), len(rows)]):
            block = rows[begin:end]
            if begin > 0:
                block = block[cut.clock[block] >= cut.clock[rows[begin - 1]] + config.window_s]
            part[block] = i
            begin = end
    return part
