"""Slots that stand still, for tokens to read at the edge: what of the workspace can be frozen into a student.

    h ← h + L CA(E h, slots)

A token reads the same slots whatever the window, so what it adds still depends on the token alone.
"""

import torch
from torch import Tensor, nn

from mmvq_train.workspace.maps import DECAY
from mmvq_train.workspace.slots import StudentCrossAttention


class SlotReader(nn.Module):
    """Tokens (N, width) -> the same with what they read. `slots` (K, D): the average of what the workspace's slots held
    in the latest batches; `read` is the cross-attention by which it reads the slots of a batch, too."""

    slots: Tensor

    def __init__(self, width: int, dim: int, slots: int, heads: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, dim)
        self.read = StudentCrossAttention(dim, heads)
        self.leave = nn.Linear(dim, width)
        self.register_buffer("slots", torch.zeros(slots, dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, width) -> (N, width)."""
        asked = self.enter(hidden)[None]
        told, _ = self.read(asked, self.slots[None])
        found: Tensor = hidden + self.leave(told - asked)[0]
        return found

    @torch.no_grad()
    def remember(self, slots: Tensor) -> None:
        """Slots of a batch (B, K, D) join the average, which the first batch begins."""
        now = slots.float().mean(0)
        # Not in place: tokens of the batch have read the slots as they were, and their gradients are yet to come.
        self.slots = self.slots.lerp(now, 1.0 if not self.slots.any() else 1 - DECAY)

    @torch.no_grad()
    def folded(self) -> "FoldedReader":
        """For evaluation, with all that does not depend on the token multiplied out."""
        attend, heads = self.read, self.read.heads
        keys, values = (layer(self.slots).unflatten(1, (heads, -1)) for layer in (attend.key, attend.value))  # K, h, d
        queries = attend.query.weight.unflatten(0, (heads, -1))  # h, d, D
        scale = keys.shape[2] ** -0.5
        asking = scale * torch.einsum("khd,hdi->hki", keys, queries).flatten(0, 1)
        asked = scale * torch.einsum("khd,hd->hk", keys, attend.query.bias.unflatten(0, (heads, -1))).flatten()
        outwards = self.leave.weight @ attend.out.weight
        reader = FoldedReader(self.enter.in_features, heads, len(self.slots))
        reader.ask.weight.copy_(asking @ self.enter.weight)
        reader.ask.bias.copy_(asking @ self.enter.bias + asked)
        reader.answer.weight.copy_(torch.einsum("khd,whd->whk", values, outwards.unflatten(1, (heads, -1))).flatten(1))
        reader.answer.bias.copy_(self.leave.weight @ attend.out.bias + self.leave.bias)
        return reader.eval()


class FoldedReader(nn.Module):
    """SlotReader as two layers with a softmax over the K slots of each head between: (N, width) -> (N, width)."""

    def __init__(self, width: int, heads: int, slots: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask, self.answer = nn.Linear(width, heads * slots), nn.Linear(heads * slots, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, width) -> (N, width)."""
        attention = self.ask(hidden).unflatten(1, (self.heads, -1)).softmax(-1).flatten(1)
        found: Tensor = hidden + self.answer(attention)
        return found
