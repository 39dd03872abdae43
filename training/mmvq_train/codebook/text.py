"""Text as a target: what the bank offers, its controls, and the branch that carries it.

A label's text is the same for all its windows, so what it moves must be held against texts that say nothing (SYSTEMS
4): another label's, random vectors, one-hot ones, none.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook.quantiser import Codebook
from mmvq_train.config import Control

TEXT_DIM: Final = 32  # of the joint space: 384 dimensions of MiniLM hold about this many for a few dozen texts


@dataclass(frozen=True)
class TextTargets:
    """entries (M, E) of the action codebook, membership bool (C, M) of activities in them, and for every activity the
    embeddings of the texts that say what it is, (C, N, E)."""

    entries: Tensor
    membership: Tensor
    activities: Tensor


def controlled(targets: TextTargets, control: Control, seed: int) -> TextTargets | None:
    """The real texts, or what stands in for them; same membership of classes in as many entries, but for "shuffled".

    shuffled: every activity has the texts and sub-actions of another one; random: normal vectors; one-hot: no two texts
    have anything in common; none: no text at all.
    """
    generator = torch.Generator().manual_seed(seed)
    entries, activities = targets.entries, targets.activities
    count, classes = len(entries), len(activities)
    if control == "none":
        return None
    if control == "shuffled":
        order = torch.randperm(classes, generator=generator)
        other = torch.empty_like(order)
        other[order] = order.roll(1)  # nobody keeps their own
        return replace(targets, membership=targets.membership[other], activities=activities[other])
    if control == "random":
        return replace(
            targets,
            entries=torch.randn(entries.shape, generator=generator),
            activities=torch.randn(activities.shape, generator=generator),
        )
    if control == "one-hot":
        apart = torch.eye(count + classes)
        return replace(targets, entries=apart[:count], activities=apart[count:, None])
    return targets


class TextBranch(nn.Module):
    """Sub-action texts through their own codebook to the label's embedding; and the prototypes of the joint space."""

    entries: Tensor
    membership: Tensor
    activities: Tensor

    def __init__(self, targets: TextTargets) -> None:
        super().__init__()
        labels = targets.activities.mean(1)
        self.register_buffer("entries", F.normalize(targets.entries - targets.entries.mean(0), dim=-1))
        self.register_buffer("membership", targets.membership.float())
        self.register_buffer("activities", F.normalize(labels - labels.mean(0), dim=-1))
        width = targets.entries.shape[1]
        self.project = nn.Linear(width, TEXT_DIM)
        self.actions = Codebook(len(targets.entries), TEXT_DIM)
        self.rebuild = nn.Linear(TEXT_DIM, width)

    def prototypes(self) -> Tensor:
        """(M, TEXT_DIM), of unit length."""
        return F.normalize(self.project(self.entries), dim=-1)

    def labels(self) -> Tensor:
        """(C, TEXT_DIM): an activity's own texts, beside the mean prototype of its sub-actions."""
        return self._shares() @ self.prototypes() + F.normalize(self.project(self.activities), dim=-1)

    def loss(self) -> Tensor:
        """1 − cosine between the rebuilt and the true embedding of each label, plus the commitment."""
        quantised = self.actions(self.prototypes())
        rebuilt = self.rebuild(self._shares() @ quantised.z)
        return (1 - F.cosine_similarity(rebuilt, self.activities, dim=-1)).mean() + 0.25 * quantised.commitment

    def _shares(self) -> Tensor:
        """(C, M), rows adding up to one: an activity's sub-actions, all alike."""
        return self.membership / self.membership.sum(-1, keepdim=True).clamp_min(1)
