"""How little a window is like anything trained on, read off what its pieces count."""

from typing import Final

import torch
from torch import Tensor, nn

SHRINK: Final = 0.1  # of the mean variance, added to every one, so that covariances can be inverted
LEAST: Final = 1e-6
STEPS: Final = 127


class Unlikeness(nn.Module):
    """What the pieces of each length count together (B, L, C) -> unknown score (B,): the squared Mahalanobis distance
    to the nearest class, less that to all windows together (relative Mahalanobis distance, Ren et al. 2021, arXiv
    2106.09022), of all L·C sums at once. Where nobody taught an activity, short and long pieces often speak for
    different labels; how large the logits are says less, as such a window often speaks as loudly for the label it
    resembles (docs/lab-log.md).

    Both distances are quadratic, so the score is s'Qs + min over classes of (w_c's + v_c). All zero until fitted. Q and
    w are whole steps, 127 up and down for each column: exported files keep them in bytes, and the threshold is fitted
    to the same score.
    """

    square: Tensor
    line: Tensor
    constant: Tensor

    def __init__(self, lengths: int, classes: int) -> None:
        super().__init__()
        size = lengths * classes
        self.register_buffer("square", torch.zeros(size, size))
        self.register_buffer("line", torch.zeros(size, classes))
        self.register_buffer("constant", torch.zeros(classes))

    def forward(self, sums: Tensor) -> Tensor:
        """As the class says."""
        flat = sums.flatten(1)
        return (flat @ self.square * flat).sum(-1) + (flat @ self.line + self.constant).amin(-1)

    @torch.no_grad()
    def fit(self, sums: Tensor, y: Tensor) -> None:
        """To training windows' sums (N, L, C) and labels y (N,). A label that none of them has is never the nearest."""
        seen, there = sums.flatten(1).double(), torch.bincount(y, minlength=len(self.constant)) > 0
        middle = torch.stack([seen[y == c].mean(0) if there[c] else seen.mean(0) for c in range(len(there))])
        within, (whole, everything) = _precision(seen - middle[y]), (seen.mean(0), _precision(seen - seen.mean(0)))
        self.square.copy_(_in_steps(within - everything))
        self.line.copy_(_in_steps((2 * everything @ whole)[:, None] - 2 * within @ middle.T))
        apart = torch.einsum("cd,de,ce->c", middle, within, middle) - whole @ everything @ whole
        self.constant.copy_(apart.masked_fill(~there, torch.inf))


def _precision(apart: Tensor) -> Tensor:
    """Inverse of the covariance of rows (N, C) that have mean 0."""
    covariance = apart.T @ apart / len(apart)
    more = SHRINK * covariance.diagonal().mean() + LEAST
    return torch.linalg.inv(covariance + more * torch.eye(len(covariance)).to(apart))


def _in_steps(matrix: Tensor) -> Tensor:
    """Rounded to whole steps, of which the largest number of each column has 127."""
    step = matrix.abs().amax(0).clamp_min(LEAST) / STEPS
    return (matrix / step).round() * step
