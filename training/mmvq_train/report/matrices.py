"""The numbers behind the maps of report.html: who uses which code, when, for what, and where the evidence lies.

Pure: a student's output (`Judged`) and who and what its N windows are, in; arrays out. K codes a length, S streams, T
tokens a window, C classes, M sub-actions. A token counts once for each of its S codes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NONE_IN_GROUP: Final = 1  # divisor of a group without pieces: its shares are 0, not undefined


@dataclass(frozen=True)
class Use:
    """How often each group of windows (a wearer, an activity) got each code of one length: count, int (groups, K)."""

    count: Ints

    @property
    def pieces(self) -> Ints:
        """Pieces of each group, (groups,)."""
        return self.count.sum(1)

    @property
    def share(self) -> Floats:
        """(groups, K): of a group's pieces, the share that got the code. Rows add up to 1, or to 0 without pieces."""
        return self.count / np.maximum(self.pieces, NONE_IN_GROUP)[:, None]

    @property
    def spread(self) -> Floats:
        """(K, groups): of a code's use, the share in each group, as if all groups had equally many pieces.

        Rows add up to 1, or to 0 for codes without pieces. 1/groups everywhere: the code tells no groups apart.
        """
        share = self.share.T
        return share / np.maximum(share.sum(1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Meaning:
    """Sub-actions of the pieces that got a code: mean probability (K, M), that of all pieces of the length (M,), and
    how many pieces each code has (K,)."""

    probability: Floats
    average: Floats
    pieces: Ints

    @property
    def lift(self) -> Floats:
        """(K, M): how many times likelier a sub-action is in the code's pieces than in all; 1 is no more than average,
        0 where the code has no pieces."""
        return self.probability / np.maximum(self.average, 1e-12)


def usage(codes: Tensor, counts: list[int], size: int, group: npt.NDArray[np.int64], groups: int) -> list[Use]:
    """Of every length: codes (N, T, S) counted by group; group (N,) is a window's, in 0..groups − 1."""
    of_window = torch.from_numpy(group)[:, None, None]
    out = []
    for part in codes.split(counts, dim=1):
        cell = (of_window * size + part).flatten()
        out.append(Use(torch.bincount(cell, minlength=groups * size).view(groups, size).numpy()))
    return out


def meaning(codes: Tensor, sub_actions: Tensor, counts: list[int], size: int) -> list[Meaning]:
    """Of every length: codes (N, T, S) against sub-action probabilities (N, T, M)."""
    out = []
    for part, actions in zip(codes.split(counts, dim=1), sub_actions.split(counts, dim=1), strict=True):
        flat = actions.flatten(0, 1).double()
        total = flat.new_zeros(size, flat.shape[1])
        for stream in range(part.shape[-1]):
            total.index_add_(0, part[..., stream].flatten(), flat)
        pieces = torch.bincount(part.flatten(), minlength=size)
        out.append(Meaning((total / pieces.clamp_min(1)[:, None]).numpy(), flat.mean(0).numpy(), pieces.numpy()))
    return out


def by_peak(matrix: Floats, shown: npt.NDArray[np.bool_]) -> list[int]:
    """Rows of `matrix` (K, n), all ≥ 0, among those `shown` (K,), by the column of their largest value, the largest
    first: what belongs together then lies along a diagonal. Rows of zeros come last."""
    peak, height = matrix.argmax(1), matrix.max(1)
    return sorted(np.flatnonzero(shown).tolist(), key=lambda k: (height[k] == 0, peak[k], -height[k], k))


def evidence(contributions: Tensor, said: Tensor) -> Floats:
    """(T,): mean |contribution| of each token to the label that was said. contributions (N, T, C), said (N,)."""
    own = contributions.gather(2, said[:, None, None].expand(-1, contributions.shape[1], 1))[..., 0]
    return own.abs().double().mean(0).numpy()


def shares(weight: Floats, counts: list[int]) -> Floats:
    """(lengths,): the share of the tokens' weights (T,) that falls on each length."""
    whole = max(float(weight.sum()), 1e-12)
    return np.array([part.sum() / whole for part in np.split(weight, np.cumsum(counts)[:-1])])


def lanes(begin: Floats, length: float) -> list[int]:
    """For spans of one length that begin at `begin` (ascending): the first lane in which each overlaps no other."""
    free: list[float] = []  # when each lane is free again
    out = []
    for start in begin.tolist():
        lane = next((i for i, end in enumerate(free) if end <= start + 1e-6), len(free))
        free[lane:lane + 1] = [start + length]
        out.append(lane)
    return out
