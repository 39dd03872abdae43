"""A student as a network with features in time: to be compared with its teachers, or to be one."""

import torch
from torch import Tensor, nn

from mmvq_train.pieces import Layout
from mmvq_train.student.methods import POSITIONS
from mmvq_train.student.model import Student
from mmvq_train.teachers import Teacher


class LaidInTime(nn.Module):
    """Token embeddings (B, T, width) -> features (B, 16, lengths · width): every length's, laid in time, side by side.

    A sixteenth of the window takes the mean of the tokens that lie in it, each by how much of it does.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.counts = layout.counts
        edges = torch.linspace(0, layout.window, POSITIONS + 1)
        for i in range(len(layout.lengths_s)):
            start = torch.tensor(layout.starts(i))[:, None]
            inside = torch.minimum(start + layout.samples(i), edges[1:]) - torch.maximum(start, edges[:-1])
            inside = inside.clamp_min(0)
            # Where no piece of a length lies, there is nothing: hops may be longer than pieces.
            self.register_buffer(f"share_{i}", (inside / inside.sum(0).clamp_min(1e-6)).T, persistent=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """One product a length."""
        parts = enumerate(embeddings.split(self.counts, dim=1))
        return torch.cat([self.get_buffer(f"share_{i}") @ part for i, part in parts], dim=2)


class SelfTeacher(Teacher):
    """A student that learnt from labels alone teaches the next one (self-distillation; Furlanello et al., ICML 2018,
    arXiv 1805.04770)."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student, self.lay = student, LaidInTime(student.layout)

    def forward(self, drawn: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Of windows (N, W, 3)."""
        out = self.student(drawn)
        return out.logits, (self.lay(out.embeddings).transpose(1, 2),)
