"""What is fitted once the student is trained: temperature and unknown threshold on held-out training people, what the
unknown score compares with on the others."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvq_train.data import WindowSet
from mmvq_train.fitting import in_batches
from mmvq_train.student.model import Student

KNOWN_SHARE: Final = 0.99  # of held-out people's windows stay below the threshold: one false alarm in a hundred
COLDEST, HOTTEST, STEPS = 0.25, 8.0, 201  # a grid finds the one minimum safely, where a descent may run off


@torch.no_grad()
def calibrate(student: Student, train: WindowSet, held_out: WindowSet) -> None:
    """Set temperature (Guo et al. 2017, arXiv 1706.04599: the one that makes labels likeliest), unlikeness and its
    threshold."""
    (_, seen), (logits, sums) = _told(student, train.x), _told(student, held_out.x)
    grid = torch.logspace(torch.tensor(COLDEST).log2(), torch.tensor(HOTTEST).log2(), STEPS, base=2.0)
    losses = torch.stack([F.cross_entropy(logits / t, held_out.y) for t in grid])
    student.temperature.copy_(grid[losses.argmin()])
    student.unlikeness.fit(seen, train.y)
    student.threshold.copy_(torch.quantile(student.unlikeness(sums), KNOWN_SHARE))


def _told(student: Student, x: Tensor) -> tuple[Tensor, Tensor]:
    """Of windows (N, window, 3) logits (N, C) and what each length counts (N, L, C); nothing else of them is kept."""
    parts = in_batches(student, x, kept=lambda out: (out.logits, student.by_length(out.contributions)))
    logits, sums = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(sums)
