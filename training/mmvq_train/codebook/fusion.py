"""Language semantic augmentation: signal and the label's own texts look at each other (SYSTEMS 2, LSA).

    signal tokens ─ query ─► texts of the label:   signal' = signal + out(attention)   ─ pooled ─ class
    texts ─ query ─► signal tokens:                text'   = text + out(attention)     ─ pooled ─ class

The texts of a label are the same for all its windows, so as input they carry the answer: this branch lives in training
only, predicts nothing that is published, and what it gives is where a token looks: its attention over the sub-actions
of the label, the soft target of MMVQShape. Whether that is the truth is measured (benchmarks/composite.py), not taken
for granted.
"""

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH: Final = 32  # of the fusion: as wide as the joint space of signal and text
HEADS: Final = 4


class Fused(NamedTuple):
    """Class logits (B, C) of both branches, and the attention (B, T, N) of signal tokens over the texts."""

    signal: Tensor
    text: Tensor
    attention: Tensor


class Fusion(nn.Module):
    """Signal tokens (B, T, d) and texts (N, E), `allowed` bool (B, N) of them the window's label's -> Fused."""

    def __init__(self, dim: int, text_dim: int, classes: int) -> None:
        super().__init__()
        self.signal, self.text = nn.Linear(dim, WIDTH), nn.Linear(text_dim, WIDTH)
        self.to_text = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.to_signal = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.by_signal, self.by_text = nn.Linear(WIDTH, classes), nn.Linear(WIDTH, classes)

    def forward(self, tokens: Tensor, texts: Tensor, allowed: Tensor) -> Fused:
        """Both cross-attentions, each with its residual and output projection."""
        signal = self.signal(tokens)
        text = self.text(texts).expand(len(tokens), -1, -1)
        read, attention = self.to_text(signal, text, text, key_padding_mask=~allowed)
        heard, _ = self.to_signal(text, signal, signal, need_weights=False)
        own = allowed[..., None]
        told = ((text + heard) * own).sum(1) / own.sum(1)
        return Fused(self.by_signal((signal + read).mean(1)), self.by_text(told), attention)


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """KL(target ‖ prediction), mean over tokens: logits (B, T, M), target (B, T, M) whose rows add up to one.

    This way round it is finite where the target has zeros; KL(prediction ‖ target) is not (SYSTEMS 4).
    """
    certain = -torch.special.entr(target).sum(-1)
    return (certain - (target * F.log_softmax(logits, dim=-1)).sum(-1)).mean()
