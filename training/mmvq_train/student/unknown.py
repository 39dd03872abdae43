"""How little a window is like anything trained on, read off its logits."""

from typing import Final

import torch
from torch import Tensor, nn

SHRINK: Final = 0.01  # of the mean variance, added to every one, so that covariances can be inverted
LEAST: Final = 1e-6


class Unlikeness(nn.Module):
    """Logits (B, C) -> unknown score (B,): the squared Mahalanobis distance to the nearest class, less that to all
    windows together (relative Mahalanobis distance, Ren et al. 2021, arXiv 2106.09022), here of logits, which are what
    the reasons add up to. How large the logits are says less: a window of an activity that nobody taught often
    speaks as loudly for the label it resembles (docs/lab-log.md).

    Both distances are quadratic, so the score is l'Ql + min over classes of (w_c'l + v_c). All zero until fitted.
    """

    square: Tensor
    line: Tensor
    constant: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("square", torch.zeros(classes, classes))
        self.register_buffer("line", torch.zeros(classes, classes))
        self.register_buffer("constant", torch.zeros(classes))

    def forward(self, logits: Tensor) -> Tensor:
        """As the class says."""
        return (logits @ self.square * logits).sum(-1) + (logits @ self.line + self.constant).amin(-1)

    @torch.no_grad()
    def fit(self, logits: Tensor, y: Tensor) -> None:
        """To training windows' logits (N, C) and labels y (N,). A label that none of them has is never the nearest."""
        seen, there = logits.double(), torch.bincount(y, minlength=logits.shape[1]) > 0
        middle = torch.stack([seen[y == c].mean(0) if there[c] else seen.mean(0) for c in range(len(there))])
        within, (whole, everything) = _precision(seen - middle[y]), (seen.mean(0), _precision(seen - seen.mean(0)))
        self.square.copy_(within - everything)
        self.line.copy_((2 * everything @ whole)[:, None] - 2 * within @ middle.T)
        apart = torch.einsum("cd,de,ce->c", middle, within, middle) - whole @ everything @ whole
        self.constant.copy_(apart.masked_fill(~there, torch.inf))


def _precision(apart: Tensor) -> Tensor:
    """Inverse of the covariance of rows (N, C) that have mean 0."""
    covariance = apart.T @ apart / len(apart)
    more = SHRINK * covariance.diagonal().mean() + LEAST
    return torch.linalg.inv(covariance + more * torch.eye(len(covariance)).to(apart))
