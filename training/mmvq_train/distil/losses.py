"""What a student may be asked for beside the labels: a teacher's answers, features, or how its windows lie together.

Each is one function (or, where something is learnt with it, one module) of a batch. B windows, C classes, D features,
L positions in time. A student's and a teacher's features may differ in D; where a formula needs them alike, a
`Regressor` brings the student's there.
"""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST: Final = 1e-8  # no correlation divides by zero
MOST_TAU: Final = 10.0  # of DCD: the sharpest that its similarities become (published setting)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher ‖ student) at temperature T, logits (B, C) each -> (B,).

    Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), section 2: T² keeps the gradient's size when T changes. Added up
    over classes: torch's 'mean' would divide by their number too.
    """
    told = F.log_softmax(teacher / temperature, dim=1)
    return (told.exp() * (told - F.log_softmax(student / temperature, dim=1))).sum(1) * temperature**2


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Features (B, D, L) and (B, D', L) -> scalar: mean of ‖Q_S/‖Q_S‖ − Q_T/‖Q_T‖‖², Q the mean of squares over D.

    Where in the window there is much to be seen (Zagoruyko and Komodakis, ICLR 2017, arXiv 1612.03928, equation 2).
    """
    maps = [F.normalize(f.square().mean(1), dim=1) for f in (student, teacher)]
    return (maps[0] - maps[1]).square().sum(1).mean()


def similarity_preserving(student: Tensor, teachers: Sequence[Tensor]) -> Tensor:
    """Features (B, ...) of a student and M teachers, any shapes -> (M,) ‖G_S − G_m‖²_F / B².

    G = A Aᵀ over the flattened features, every row divided by its length: which windows of the batch are alike
    (Tung and Mori, ICCV 2019, arXiv 1907.09682, for one pair of layers: the caller adds up the stages).
    """
    own = _similarities(student)
    return torch.stack([(own - _similarities(one)).square().sum() for one in teachers]) / len(student) ** 2


def correlation_distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Logits (B, C) each -> scalar T² (inter + intra): one minus Pearson's correlation of what both say, over the
    classes of a window and over the windows of a class (DIST; Huang et al., NeurIPS 2022, arXiv 2205.10536,
    equations 8 to 10, both weights 1 as on small data there).
    """
    said, told = (F.softmax(logits / temperature, dim=1) for logits in (student, teacher))
    inter = (1 - _pearson(said, told)).mean()
    intra = (1 - _pearson(said.T, told.T)).mean()
    return (inter + intra) * temperature**2


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Features (B, ...) of one shape -> (B,) mean squared differences."""
    return (student - teacher).flatten(1).square().mean(1)


class Regressor(nn.Module):
    """The student's pooled features (B, D) -> a teacher's (B, D').

    Linear: of a sum over tokens it is the sum of what it makes of each, so that what a reused classifier says of them
    stays a sum too (SimKD; Chen et al., CVPR 2022, arXiv 2203.14001).
    """

    def __init__(self, features: int, wanted: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, wanted)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, D')."""
        found: Tensor = self.linear(pooled)
        return found


class DiscriminativeConsistent(nn.Module):
    """Pooled features (B, D) and (B, D') -> scalar: contrast + α consistency (DCD; Giakoumoglou and Stathaki 2024,
    arXiv 2407.11802).

    Both are projected and brought to length 1. logits = τ s·t + b, with τ and b learnt; the contrast tells each
    window's own teacher from those of the other windows, the consistency asks that students look at teachers as
    teachers look at students: KL(softmax over students ‖ softmax over teachers).
    """

    def __init__(self, student: int, teacher: int, width: int = 128, alpha: float = 0.5) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(student, width), nn.Linear(teacher, width)
        self.log_tau, self.bias = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        self.alpha = alpha

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss."""
        a = F.normalize(self.student(student), dim=1)
        b = F.normalize(self.teacher(teacher), dim=1)
        return contrast_and_consistency(a @ b.T * self.log_tau.exp().clamp(max=MOST_TAU) + self.bias, self.alpha)


def contrast_and_consistency(logits: Tensor, alpha: float) -> Tensor:
    """logits (B, B), students by teachers -> cross-entropy of the diagonal + α KL(columns ‖ rows)."""
    contrast = F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
    rows, columns = logits.log_softmax(1), logits.log_softmax(0).T
    return contrast + alpha * (columns.exp() * (columns - rows)).sum(1).mean()


def _similarities(features: Tensor) -> Tensor:
    flat = features.flatten(1)
    return F.normalize(flat @ flat.T, dim=1)


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(SMALLEST)
