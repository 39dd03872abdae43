"""Labelled series from recording files or pairs of UEA `.ts` files: channels apart, training people and test people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmvq_bridge.command import BadInput
from mmvq_train.config import Config
from mmvq_train.data import WindowSet, load_dataset
from mmvq_train.vqshape.series import interpolate
from mmvq_train.vqshape.ts_files import Cases, read_pair


@dataclass(frozen=True)
class Part:
    """x float32 (N, channels, samples), y int64 (N,), subject (N,) or None where nobody is named."""

    x: Tensor
    y: npt.NDArray[np.int64]
    subject: npt.NDArray[np.str_] | None


@dataclass(frozen=True)
class Source:
    """A data set: what may be trained on, and what is for testing alone."""

    name: str
    labels: tuple[str, ...]
    train: Part
    test: Part
    notices: tuple[str, ...] = ()


def read_sources(files: Sequence[str], splits: Sequence[str], windows: Config) -> list[Source]:
    """Read each file; the embedded recordings if there is none.

    A `.ts` file stands for itself and the _TEST one beside it. splits: a fold file for each recording file, or none;
    windows: how those are cut (window_s, hop_s, rate_hz, fold).
    """
    pairs = [file for file in files if _is_ts(file)]
    recordings: list[str | None] = [file for file in files if not _is_ts(file)]
    if not files:
        recordings = [None]
    if splits and len(splits) != len(recordings):
        raise BadInput(f"{len(splits)} fold files for {len(recordings)} recording files; give --split one for each")
    # Of a pair both may be given; the training file speaks for it.
    trains = [p for p in pairs if "_TRAIN." in p or p.replace("_TEST.", "_TRAIN.") not in pairs]
    sources = [_from_pair(Path(path)) for path in trains]
    for i, path in enumerate(recordings):
        windows.check()
        sources.append(_from_recordings(replace(windows, data=path, split=splits[i] if splits else None)))
    return sources


def all_series(sources: Sequence[Source], samples: int) -> Tensor:
    """Every channel of every training part as a series of its own, (N, n): as recorded where lengths agree, otherwise
    interpolated to `samples`."""
    parts = [source.train.x.flatten(0, 1) for source in sources]
    if len({part.shape[1] for part in parts}) > 1:
        parts = [interpolate(part, samples) for part in parts]
    return torch.cat(parts)


def _is_ts(file: str) -> bool:
    return file.endswith((".ts", ".ts.gz"))


def _from_pair(path: Path) -> Source:
    train, test = read_pair(path)
    return Source(path.name.split("_TRAIN.")[0], train.labels, _cases(train), _cases(test))


def _cases(cases: Cases) -> Part:
    return Part(torch.from_numpy(cases.x), cases.y, None)


def _from_recordings(config: Config) -> Source:
    data = load_dataset(config)
    # Nothing is calibrated here, so those whom the student's temperature is fitted on may be learnt from.
    sets = [data.train, data.calibrate]
    train = WindowSet(
        torch.cat([part.x for part in sets]),
        torch.cat([part.y for part in sets]),
        np.concatenate([part.subject for part in sets]),
    )
    return Source(data.name, data.labels, _windows(train), _windows(data.test), data.notices)


def _windows(windows: WindowSet) -> Part:
    return Part(windows.x.transpose(1, 2).contiguous(), windows.y.numpy(), windows.subject)
