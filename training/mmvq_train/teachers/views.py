"""What nets see of a window, one view a kind of teacher.

A view has two steps. `draw` is what takes long: it is done once per set of windows, as recorded, and kept on disk.
`forward` is cheap, so it is done for every batch; a view with nothing to draw thereby sees windows as augmented.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmvq_train.config import TeacherKind
from mmvq_train.pieces import resampling_matrix
from mmvq_train.teachers.cache import kept
from mmvq_train.teachers.gramian import gramian_fields
from mmvq_train.teachers.persistence import PersistenceImager, signal_range

AXES: Final = 3
SMALLEST_DEVIATION: Final = 1e-3  # a channel that never moves is not blown up
DRAWINGS: Final = 1  # of persistence images: to be raised when they come out otherwise, so that none is taken for new
WINDOWS_AT_ONCE: Final = 512


class View(nn.Module, ABC):
    """Drawn windows -> (N, channels, ...) with `dims` more dimensions, every channel of zero mean and unit deviation
    over the training windows."""

    dims: Literal[1, 2] = 1
    drawn: bool = False  # whether there is anything to draw
    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def draw(self, x: Tensor, cache: Path | None = None) -> Tensor:
        """Windows (N, W, 3) in g -> what `forward` takes, one row a window."""
        return x

    def prepare(self, x: Tensor, cache: Path | None = None) -> None:
        """Take range and scale from training windows (N, W, 3)."""
        self.fit(x)
        total, squares, count = torch.zeros(self.channels).double(), torch.zeros(self.channels).double(), 0
        for part in self.draw(x, cache).split(WINDOWS_AT_ONCE):
            values = self.raw(part).transpose(0, 1).flatten(1).double()
            total, squares, count = total + values.sum(1), squares + values.square().sum(1), count + values.shape[1]
        mean = total / count
        self.mean.copy_(mean)
        self.deviation.copy_((squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(SMALLEST_DEVIATION))

    def fit(self, x: Tensor) -> None:
        """What `raw` must know of the training windows."""

    @abstractmethod
    def raw(self, drawn: Tensor) -> Tensor:
        """The view before it is standardised."""

    def forward(self, drawn: Tensor) -> Tensor:
        """(N, channels, ...)."""
        shape = (-1, *[1] * self.dims)
        return (self.raw(drawn) - self.mean.view(shape)) / self.deviation.view(shape)


class SignalView(View):
    """The window itself, (N, 3, W)."""

    def __init__(self) -> None:
        super().__init__(AXES)

    def raw(self, drawn: Tensor) -> Tensor:
        """Axes first."""
        return drawn.transpose(1, 2)


class _RangedView(View):
    """Images of signals that are brought to -1..1 by the training windows' range, axis by axis."""

    dims = 2
    low: Tensor
    high: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels)
        self.size = size
        self.register_buffer("low", torch.full((AXES,), -1.0))
        self.register_buffer("high", torch.ones(AXES))

    def fit(self, x: Tensor) -> None:
        """The range."""
        for buffer, values in zip((self.low, self.high), signal_range(x.numpy()), strict=True):
            buffer.copy_(torch.tensor(values))


class GramianView(_RangedView):
    """Summation and difference field of every axis, (N, 6, size, size)."""

    def __init__(self, size: int) -> None:
        super().__init__(2 * AXES, size)

    def raw(self, drawn: Tensor) -> Tensor:
        """Scale, average down to `size` samples, and draw the fields."""
        scaled = ((drawn - self.low) / (self.high - self.low) * 2 - 1).clamp(-1, 1).transpose(1, 2)
        return gramian_fields(scaled @ resampling_matrix(scaled.shape[2], self.size).to(scaled.device)).flatten(1, 2)


class PersistenceView(_RangedView):
    """Persistence images, (N, 3, size, size), drawn once and kept in 8 bits."""

    drawn = True

    def __init__(self, size: int) -> None:
        super().__init__(AXES, size)

    def draw(self, x: Tensor, cache: Path | None = None) -> Tensor:
        """uint8 (N, 3, size, size), 255 the brightest pixel."""
        # The published sigma, unless that is finer than half a pixel.
        low, high = self.low.tolist(), self.high.tolist()
        imager = PersistenceImager(tuple(low), tuple(high), self.size, max(0.015, 0.96 / self.size))
        windows = x.cpu().numpy()
        settings = asdict(imager) | {"drawings": DRAWINGS}
        made = kept(cache, "persistence", settings, windows, lambda: _eight_bits(imager, windows))
        return torch.from_numpy(made)

    def raw(self, drawn: Tensor) -> Tensor:
        """0..1."""
        return drawn / 255


def make_view(kind: TeacherKind, image: int) -> View:
    """The view of a kind of net; `image`: pixels a side."""
    views: dict[TeacherKind, Callable[[], View]] = {
        "signal": SignalView, "gramian": lambda: GramianView(image), "persistence": lambda: PersistenceView(image),
    }
    return views[kind]()


def _eight_bits(imager: PersistenceImager, windows: np.ndarray) -> np.ndarray:
    parts = range(0, len(windows), WINDOWS_AT_ONCE)
    return np.concatenate([np.rint(imager.images(windows[at : at + WINDOWS_AT_ONCE]) * 255).astype(np.uint8)
                           for at in parts])
