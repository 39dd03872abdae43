"""A window in pieces: what a token may see, and how it is normalised.

- Pieces have fixed spans: for every length, one each `hop` seconds. Nothing outside a span enters its token.
- A piece is resampled to 32 points (means of 32 equal parts where it has more samples, straight lines where fewer),
  their mean taken off and their deviation divided out: that is the *shape*. What was taken off is kept, in g: `offset`
  (the piece's mean: posture) and `scale` (the points' deviation: intensity), which instance normalisation alone would
  throw away.
- Axis by axis, or jointly: a joint shape keeps how the axes move against each other, and is divided by one deviation.
- The same pieces may be looked at in several views, each by tokens of its own: `axes` as above; `gravity`, the 32
  points along the piece's own mean, across it, and their magnitude, the same however the watch is turned; `rhythm`, how
  much of every axis swings at 32 frequencies, the same whenever in the piece a movement comes.
- Cutting and resampling the pieces of one length is one convolution, so that the exported graph stays small.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_run.signal import QUIET_G

POINTS: Final = 32
HALF_STEP: Final = 2.0**-11  # multiples of it up to 1 are exact in half precision
SMALL: Final = 1e-6  # keeps what is divided by finite
TOP_HZ: Final = 6.0  # of rhythm: what is faster told activities apart no better (docs/lab-log.md)

PieceView = Literal["axes", "gravity", "rhythm"]


@dataclass(frozen=True)
class Layout:
    """Which pieces a window has. Lengths and hops in seconds, one hop a length.

    axes: curves of a piece; one more than `channels` adds the magnitude. joint: one shape for all axes of a piece.
    views: one a length, or none where all are of the axes; a length comes once for every view of it, one view's lengths
    after the other's.
    """

    rate_hz: float
    window: int
    lengths_s: tuple[float, ...]
    hops_s: tuple[float, ...]
    axes: int = 3
    joint: bool = False
    channels: int = 3
    views: tuple[PieceView, ...] = ()

    def view(self, length: int) -> PieceView:
        """What is looked at of the pieces of the `length`-th length."""
        return self.views[length] if self.views else "axes"

    def called(self, length: int) -> str:
        """The `length`-th length for people: 1 s, or where there are several views, 1 s, rhythm."""
        seconds = f"{self.lengths_s[length]:g} s"
        return seconds if len(set(self.part)) == 1 else f"{seconds}, {self.view(length)}"

    @property
    def part(self) -> list[int]:
        """For every length the number of its view, counted from 0."""
        views = [self.view(i) for i in range(len(self.lengths_s))]
        known = list(dict.fromkeys(views))
        return [known.index(view) for view in views]

    def parts(self) -> "list[Layout]":
        """Each view by itself."""
        found = []
        for number in range(max(self.part) + 1):
            own = [i for i, part in enumerate(self.part) if part == number]
            lengths, hops = (tuple(spans[i] for i in own) for spans in (self.lengths_s, self.hops_s))
            found.append(replace(self, lengths_s=lengths, hops_s=hops, views=(self.view(own[0]),) * len(own)))
        return found

    @property
    def streams(self) -> int:
        """Codes of a token: one an axis, or one in all."""
        return 1 if self.joint else self.axes

    @property
    def points(self) -> int:
        """Size of a shape: 32, or 32 for every axis of a joint one."""
        return POINTS * self.curves

    @property
    def curves(self) -> int:
        """Curves of 32 points in a shape."""
        return self.axes if self.joint else 1

    def samples(self, length: int) -> int:
        """Samples in a piece of the `length`-th length."""
        return min(self.window, max(2, round(self.lengths_s[length] * self.rate_hz)))

    def step(self, length: int) -> int:
        """Samples from one piece of the `length`-th length to the next."""
        return max(1, round(self.hops_s[length] * self.rate_hz))

    def starts(self, length: int) -> list[int]:
        """First samples of the pieces of one length; the last piece always ends with the window."""
        last = self.window - self.samples(length)
        return sorted({*range(0, last + 1, self.step(length)), last})

    def inside(self, length: int) -> Tensor:
        """(pieces, samples): which samples of the window each piece of one length has."""
        return torch.tensor(self.starts(length))[:, None] + torch.arange(self.samples(length))

    @property
    def counts(self) -> list[int]:
        """Tokens of each length."""
        return [len(self.starts(i)) for i in range(len(self.lengths_s))]

    @property
    def tokens(self) -> int:
        """Tokens of a window: view by view, shortest length first, in order of time within a length."""
        return sum(self.counts)

    def side_by_side(self) -> tuple[Tensor, Tensor]:
        """Tokens as a table with a row a length: which token stands where (lengths · most tokens,), the last one of a
        length repeated to the end of its row; and where each token stands (tokens,). For one product over all lengths
        in place of one a length."""
        most, first = max(self.counts), 0
        laid, back = [], []
        for row, count in enumerate(self.counts):
            laid += [first + min(place, count - 1) for place in range(most)]
            back += [row * most + place for place in range(count)]
            first += count
        return torch.tensor(laid), torch.tensor(back)

    def same_length(self) -> Tensor:
        """(different lengths, tokens): 1 where a token is as long as that, in whatever view."""
        seconds = self.spans_s()[:, 1]
        return torch.from_numpy((seconds == np.unique(seconds)[:, None]).astype(np.float32))

    def spans_s(self) -> npt.NDArray[np.float32]:
        """(tokens, 2): start from the window's beginning, and length, in seconds."""
        rows = [
            (start / self.rate_hz, self.samples(i) / self.rate_hz)
            for i in range(len(self.lengths_s))
            for start in self.starts(i)
        ]
        return np.array(rows, dtype=np.float32)


@dataclass(frozen=True)
class PieceValues:
    """Pieces of one length, or of all. shape (B, T, streams, 32·curves), about unit deviation; offset and scale
    (B, T, A) in g, of the curves that the view looks at."""

    shape: Tensor
    offset: Tensor
    scale: Tensor

    @property
    def loud(self) -> Tensor:
        """Which shapes are movement, not sensor noise, bool (B, T, streams)."""
        loud = self.scale > QUIET_G
        return loud if self.shape.shape[2] == loud.shape[2] else loud.any(-1, keepdim=True)

    def split(self, counts: list[int]) -> "list[PieceValues]":
        """So many tokens each."""
        parts = (value.split(counts, dim=1) for value in (self.shape, self.offset, self.scale))
        return [PieceValues(*part) for part in zip(*parts, strict=True)]


def resampling_matrix(samples: int, points: int = POINTS) -> Tensor:
    """(samples, points): straight lines through the samples, averaged over each of `points` equal parts.

    Up-sampling thereby interpolates and down-sampling does not alias; columns sum to one.
    """
    fine = 16  # straight lines looked at 16 times a point: the average is exact to 1/256 of a sample's weight
    position = np.linspace(0, samples - 1, points * fine if samples > points else points)
    left = np.minimum(position.astype(int), samples - 2)
    matrix = np.zeros((len(position), samples))
    rows = np.arange(len(position))
    matrix[rows, left] += 1 - (position - left)
    matrix[rows, left + 1] += position - left
    # Weights are such as half precision can hold, so that a model file may store them in two bytes unchanged; what
    # rounding them down leaves of a column goes to those that lost most.
    wanted = matrix.reshape(points, -1, samples).mean(axis=1) / HALF_STEP
    whole = np.floor(wanted)
    lost_most = np.argsort(np.argsort(whole - wanted, axis=1, kind="stable"), axis=1)
    whole += lost_most < (1 / HALF_STEP - whole.sum(axis=1, keepdims=True)).round()
    return torch.tensor(whole.T * HALF_STEP, dtype=torch.float32)


def wave_matrix(samples: int, rate_hz: float) -> Tensor:
    """(samples, 2, 32): cosines and sines under a Hann window, at frequencies in even steps from one wave a piece up to
    TOP_HZ, or half the rate if that is less; each less its mean, so that gravity is in none.

    Of white noise the squares of both add up to its variance, at every frequency but the lowest, which lose some.
    """
    seconds = torch.arange(samples, dtype=torch.float64) / rate_hz
    hertz = torch.linspace(rate_hz / samples, min(TOP_HZ, rate_hz / 2), POINTS, dtype=torch.float64)
    phase = 2 * torch.pi * seconds[:, None] * hertz
    window = torch.hann_window(samples, dtype=torch.float64)[:, None]
    waves = torch.stack([phase.cos(), phase.sin()], dim=1) * (window / window.norm())[:, None]
    return (waves - waves.mean(0)).half().float()


def mean_matrix(samples: int) -> Tensor:
    """(samples, 1): the mean, in weights that are exact in half precision and add up to one."""
    step = np.spacing(np.float16(1 / samples), dtype=np.float16).astype(np.float64)
    return torch.tensor(np.diff(np.floor(np.arange(samples + 1) / samples / step)) * step).float()[:, None]


class Pieces(nn.Module):
    """(B, window, channels) in g -> for every length its PieceValues. All views look at the same pieces."""

    even: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.views, self.cut = [own.view(0) for own in layout.parts()], layout.parts()[0]
        if any(replace(own, views=self.cut.views) != self.cut for own in layout.parts()):
            raise ValueError("all views look at the same pieces")
        curves, waves = any(view != "rhythm" for view in self.views), "rhythm" in self.views
        self.sizes = [POINTS] * curves + [1] + [POINTS, POINTS] * waves
        for i in range(len(self.cut.lengths_s)):
            samples = self.cut.samples(i)
            found = [*([resampling_matrix(samples)] if curves else []), mean_matrix(samples)]
            found += [wave_matrix(samples, layout.rate_hz).flatten(1)] if waves else []
            self.register_buffer(f"filters_{i}", torch.cat(found, dim=1).T.contiguous(), persistent=False)
        # The scale of a spectrum is of all of it: what swings evenly at all frequencies has a small shape, and is loud.
        even = [float(layout.view(i) == "rhythm") for i, count in enumerate(layout.counts) for _ in range(count)]
        self.register_buffer("even", torch.tensor(even)[:, None], persistent=False)

    def forward(self, x: Tensor) -> list[PieceValues]:
        """Cut, measure and normalise."""
        return self.joined(x).split(self.layout.counts)

    def joined(self, x: Tensor) -> PieceValues:
        """As `forward`, the tokens of all lengths in one, (B, tokens, ...)."""
        if self.layout.axes > self.layout.channels:
            x = torch.cat([x, torch.linalg.vector_norm(x, dim=-1, keepdim=True)], dim=-1)
        drawn = self._drawn(x.transpose(1, 2).flatten(0, 1).unsqueeze(1))
        found = [_seen(drawn, view) for view in self.views]
        points, offset = (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0] for parts in zip(*found, strict=True))
        # Without a last dimension of 1, to which ONNX Runtime would add a constant row by row, seven times as slowly.
        mean = points.mean(-1)
        shape = points - mean.unsqueeze(-1)
        size = shape.square().mean(-1)
        if "rhythm" in self.views:
            size = size + self.even * mean.square()
        scale = size.sqrt()
        if self.layout.joint:
            shape, size = shape.flatten(2).unsqueeze(2), size.mean(2, keepdim=True)
        # Quiet pieces keep a small shape instead of noise blown up to full size.
        return PieceValues(shape / (size + QUIET_G**2).sqrt().unsqueeze(-1), offset, scale)

    def _drawn(self, curves: Tensor) -> tuple[Tensor, ...]:
        """Curves (B·A, 1, W) -> what the filters find in the pieces, one length after another, each (B, T, A, n): 32
        points, the mean, cosines, sines, of these what the views need."""
        parts = []
        for i in range(len(self.cut.lengths_s)):
            filters, step = self.get_buffer(f"filters_{i}"), self.cut.step(i)
            last = self.layout.window - filters.shape[1]
            if last == 0:  # one piece: a product does it
                parts.append(F.linear(curves, filters).mT)
                continue
            parts.append(F.conv1d(curves, filters.unsqueeze(1), stride=step))
            if last % step:
                parts.append(F.conv1d(curves[..., last:], filters.unsqueeze(1)))
        found = torch.cat(parts, dim=2).unflatten(0, (-1, self.layout.axes)).permute(0, 3, 1, 2)
        return found.split(self.sizes, dim=-1)


def _seen(drawn: tuple[Tensor, ...], view: PieceView) -> tuple[Tensor, Tensor]:
    """What a view sees in what filters found: points (B, T, A, 32) and offset (B, T, A)."""
    if view == "gravity":
        points = _by_gravity(drawn[0])
        return points, points.mean(-1)
    [offset] = [part.squeeze(-1) for part in drawn if part.shape[-1] == 1]
    if view == "rhythm":
        cosines, sines = drawn[-2:]
        return (cosines.square() + sines.square()).sqrt(), offset
    return drawn[0], offset


def _by_gravity(curves: Tensor) -> Tensor:
    """Curves of x, y, z (B, T, 3, n) in g -> along the piece's mean, across it, and their magnitude."""
    mean = curves.mean(-1, keepdim=True)
    along = (curves * mean).sum(2, keepdim=True) / (torch.linalg.vector_norm(mean, dim=2, keepdim=True) + SMALL)
    squares = curves.square().sum(2, keepdim=True)
    across = (squares - along.square()).clamp_min(0)
    return torch.cat([along, across.sqrt(), squares.sqrt()], dim=2)


class LaidInTime(nn.Module):
    """Values of tokens (B, T, width) -> (B, positions, lengths · width): every length's, laid in time, side by side.

    Positions are equal parts of the window; each takes the mean of the tokens that lie in it, by how much of them does.
    """

    def __init__(self, layout: Layout, positions: int) -> None:
        super().__init__()
        self.counts = layout.counts
        edges = torch.linspace(0, layout.window, positions + 1)
        for i in range(len(layout.lengths_s)):
            start = torch.tensor(layout.starts(i))[:, None]
            inside = torch.minimum(start + layout.samples(i), edges[1:]) - torch.maximum(start, edges[:-1])
            inside = inside.clamp_min(0)
            # Where no piece of a length lies, there is nothing: hops may be longer than pieces.
            self.register_buffer(f"share_{i}", (inside / inside.sum(0).clamp_min(1e-6)).T, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """One product a length."""
        parts = enumerate(values.split(self.counts, dim=1))
        return torch.cat([self.get_buffer(f"share_{i}") @ part for i, part in parts], dim=2)
