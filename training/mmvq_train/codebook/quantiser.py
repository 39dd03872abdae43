"""Vector quantisation: the codebook alone.

- Codes are centres of clusters kept by moving averages (van den Oord et al. 2017, arXiv 1711.00937, appendix A.1), so
  they follow the encoder and need no gradient of their own.
- The first batch sets them by k-means; a code that falls out of use is revived on a random present vector.
- Nearest is found as arg-max of z·e − ½|e|²: the same order as the distance, and what the exported graph computes.
"""

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DECAY: Final = 0.98  # of the averages: about fifty batches of memory
DEAD: Final = 0.05  # of the mean usage; a code below it is revived
KMEANS_ROUNDS: Final = 20


class Quantised(NamedTuple):
    """z_q (..., d) with the straight-through gradient, codes (...) int64, commitment: scalar mean (z − sg(e))²."""

    z: Tensor
    codes: Tensor
    commitment: Tensor


class Codebook(nn.Module):
    """K codes of size d. Vectors (..., d) in, Quantised out; moves its codes in training mode only."""

    codes: Tensor
    count: Tensor
    total: Tensor
    ready: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(size, dim))
        self.register_buffer("count", torch.ones(size))
        self.register_buffer("total", torch.zeros(size, dim))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, z: Tensor) -> Quantised:
        """Quantise; in training mode follow z by moving averages."""
        flat = z.detach().flatten(0, -2)
        if self.training and not bool(self.ready):
            self._start(flat)
        index = nearest(flat, self.codes)
        if self.training:
            self._follow(flat, index)
        chosen = self.codes[index].view_as(z)
        return Quantised(z + (chosen - z).detach(), index.view(z.shape[:-1]), F.mse_loss(z, chosen))

    @torch.no_grad()
    def _start(self, flat: Tensor) -> None:
        size = len(self.codes)
        pick = torch.randperm(len(flat), device=flat.device)[: max(size, 64 * size)]
        points = flat[pick]
        codes = points[torch.arange(size, device=flat.device) % len(points)].clone()
        for _ in range(KMEANS_ROUNDS):
            hot = F.one_hot(nearest(points, codes), size).to(points.dtype)
            count = hot.sum(0)
            codes = torch.where(count[:, None] > 0, hot.T @ points / count.clamp_min(1)[:, None], codes)
        self.codes.copy_(codes)
        self.total.copy_(codes)
        self.ready.fill_(True)

    @torch.no_grad()
    def _follow(self, flat: Tensor, index: Tensor) -> None:
        size = len(self.codes)
        share = size / len(flat)  # counts are kept relative to an even use, so that `count` is about 1
        count = torch.bincount(index, minlength=size).to(flat.dtype) * share
        total = torch.zeros_like(self.total).index_add_(0, index, flat) * share
        self.count.mul_(DECAY).add_(count, alpha=1 - DECAY)
        self.total.mul_(DECAY).add_(total, alpha=1 - DECAY)
        dead = self.count < DEAD
        fresh = flat[torch.randint(len(flat), (size,), device=flat.device)]
        self.count.copy_(torch.where(dead, torch.ones_like(self.count), self.count))
        self.total.copy_(torch.where(dead[:, None], fresh, self.total))
        self.codes.copy_(self.total / self.count[:, None])


def closeness(z: Tensor, codes: Tensor) -> Tensor:
    """How close z (..., n, d) is to each of the codes (..., K, d), as (..., n, K): |z|² − squared distance."""
    return z @ (2 * codes).mT - codes.square().sum(-1).unsqueeze(-2)


def nearest(z: Tensor, codes: Tensor) -> Tensor:
    """Index (..., n) of the nearest of (K, d) codes for z (..., n, d)."""
    return closeness(z, codes).argmax(-1)


def two_nearest(z: Tensor, close: Tensor) -> tuple[Tensor, Tensor]:
    """Of z (..., d) and its closeness (..., K): the index of the nearest code (...), and the margin (...) before the
    next, (d2 − d1)/(d2 + d1) in 0..1: 0 is a toss-up between two codes."""
    first = close.argmax(-1, keepdim=True)  # in the exported graph half as long as the two largest in one go
    rest = close.masked_fill(torch.arange(close.shape[-1], device=close.device) == first, -torch.inf)
    square = z.square().sum(-1)
    near, far = ((square - one.amax(-1)).clamp_min(1e-12).sqrt() for one in (close, rest))
    return first.squeeze(-1), (far - near) / (far + near)


def perplexity(codes: Tensor, size: int) -> float:
    """exp of the entropy of code use: how many codes would do the work if all were used alike."""
    p = torch.bincount(codes.flatten(), minlength=size).double()
    p = p / p.sum()
    return float(torch.exp(-(p * p.clamp_min(1e-12).log()).sum()))
