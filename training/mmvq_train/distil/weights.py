"""How much each of M teachers counts for each window: by nothing, by its entropy, by its rightness, by what an agent
learnt. All give (B, M), rows that add up to 1 but for the agent's. One teacher counts fully.

The workspace's coefficients, of a whole batch, are in `mmvq_train.workspace.maps`.
"""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.distil.losses import divergence

AGENT_WIDTH: Final = 64


def equal_weights(teachers: Sequence[Tensor]) -> Tensor:
    """Logits (B, C) of each teacher -> equal parts."""
    return torch.full((len(teachers[0]), len(teachers)), 1 / len(teachers), device=teachers[0].device)


def entropy_weights(teachers: Sequence[Tensor]) -> Tensor:
    """w_m = (1 − H_m / Σ H) / (M − 1): the surer a teacher, the more it counts (EBKD; Kwon et al., ICASSP 2020, in the
    form of CA-MKD's comparison)."""
    if len(teachers) == 1:
        return equal_weights(teachers)
    entropy = torch.stack([-(t.softmax(1) * t.log_softmax(1)).sum(1) for t in teachers], dim=1)
    return (1 - entropy / entropy.sum(1, keepdim=True).clamp_min(1e-8)) / (len(teachers) - 1)


def confidence_weights(teachers: Sequence[Tensor], y: Tensor) -> Tensor:
    """w_m = (1 − softmax over teachers of CE_m) / (M − 1): the nearer a teacher to the label, the more it counts
    (CA-MKD; Zhang, Chen and Wang, ICASSP 2022, arXiv 2201.00007, equation 3)."""
    if len(teachers) == 1:
        return equal_weights(teachers)
    wrong = torch.stack([F.cross_entropy(t, y, reduction="none") for t in teachers], dim=1)
    return (1 - wrong.softmax(1)) / (len(teachers) - 1)


class Agent(nn.Module):
    """MTKD-RL's policy (Yang et al., AAAI 2025): per teacher, its features, logits and error, and how far the student
    is from it in answers and features -> the weight of its answers and of its features, each in 0..1.

    It is trained on rewards after the batches: what it gave is made likelier where the student did better than on
    average, loss = −reward · log weight, rewards standardised over the batch and cut to 0..1, as in the public code.
    """

    def __init__(self, features: Sequence[int], classes: int) -> None:
        super().__init__()
        self.policies = nn.ModuleList(
            nn.Sequential(nn.Linear(size + classes + 3, AGENT_WIDTH), nn.ReLU(), nn.Linear(AGENT_WIDTH, 2))
            for size in features
        )

    def forward(self, states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """One state (B, features + C + 3) a teacher -> weights of answers and of features, (B, M) each."""
        found = torch.stack([policy(s).sigmoid() for policy, s in zip(self.policies, states, strict=True)], dim=1)
        return found[..., 0], found[..., 1]

    def loss(self, states: Sequence[Tensor], reward: Tensor) -> Tensor:
        """Policy gradient for rewards (B,) that came after `states`."""
        merit = ((reward - reward.mean()) / reward.std().clamp_min(1e-8)).clamp(0, 1)
        answers, features = self(states)
        return -(merit[:, None] * (answers.log() + features.log())).mean()


def agent_state(
    student: Tensor, student_features: Tensor, teacher: Tensor, teacher_features: Tensor, y: Tensor, temperature: float
) -> Tensor:
    """What the agent sees of one teacher, (B, D' + C + 3), without gradient; the features (B, D') of both."""
    near = F.cosine_similarity(student_features, teacher_features)
    apart, wrong = divergence(student, teacher, temperature), F.cross_entropy(teacher, y, reduction="none")
    seen = torch.stack([near, apart, wrong], dim=1)
    return torch.cat([seen, teacher_features, teacher], dim=1).detach()
