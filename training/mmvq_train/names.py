"""What each code looks like, how much it is used, which sub-actions it stands for, and whether it may bear a name.

A code's distribution is the mean of the student's sub-action probabilities over the training pieces that got it. That
alone may be nothing but the class prior (SYSTEMS 4), so a name must pass a permutation test: the code has to occur in
the activities that own the sub-action more than it does when every wearer's activities swap their labels, whole bouts
at a time (windows of a bout are alike, and swapping them one by one would find everything significant). The largest
statistic over all codes in every permutation sets the bar (Westfall & Young 1993), so that one false name in twenty
runs is expected, not one in twenty codes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.data import WindowSet
from mmvq_train.evaluate import Judged
from mmvq_train.student.model import Student

PERMUTATIONS: Final = 500
LEVEL: Final = 0.05
LARGEST: Final = 5  # sub-actions kept a code


@dataclass(frozen=True)
class Code:
    """shape: a curve of 32 points for every axis that the code draws (1, or 3 of a joint code); usage: share of its
    length's pieces; sub_actions: {index: probability}."""

    shape: list[list[float]]
    length_s: float
    usage: float
    sub_actions: dict[int, float]
    name: str | None

    def as_json(self) -> dict[str, Any]:
        """As in codes.json and the model's metadata."""
        return {
            "shape": self.shape,
            "length_s": self.length_s,
            "usage": self.usage,
            "sub_actions": {str(k): v for k, v in self.sub_actions.items()},
            "name": self.name,
        }


def describe_codes(
    student: Student,
    codebook: ShapeCodebook,
    judged: Judged,
    train: WindowSet,
    entries: tuple[str, ...],
    membership: Tensor,
    seed: int,
) -> list[Code]:
    """Codes of all lengths, shortest first; the order is that of the published output `codes`.

    entries: texts of the M sub-actions; membership: bool (C, M). Without text no code has a name.
    """
    layout, size = student.layout, student.codes.shape[1]
    out: list[Code] = []
    for i, (codes, actions) in enumerate(
        zip(judged.codes.split(layout.counts, 1), judged.sub_actions.split(layout.counts, 1), strict=True)
    ):
        count = torch.stack([_counts(codes, k) for k in range(size)], dim=1)  # windows × codes
        total = count.sum(0)
        p = torch.zeros(size, actions.shape[-1])
        for axis in range(layout.axes):
            p.index_add_(0, codes[..., axis].flatten(), actions.flatten(0, 1))
        p = p / total.clamp_min(1)[:, None]
        # Which sub-action a code stands for beyond what an average piece does: the prior is divided out.
        prior = (p * total[:, None]).sum(0) / total.sum()
        candidate = (p / prior.clamp_min(1e-9)).masked_fill(p < 1 / p.shape[1], 0).argmax(-1)
        named = [False] * size
        if codebook.text is not None:
            named = _supported(count, candidate, train, membership, seed + i)
        drawn = codebook.code_shapes()[i]
        drawn = drawn / drawn.std(-1, keepdim=True, correction=0).clamp_min(1e-6)
        for k in range(size):
            top = p[k].topk(min(LARGEST, p.shape[1]))
            out.append(Code(
                [[round(v, 3) for v in drawn[k].tolist()]],
                layout.lengths_s[i],
                round(float(total[k] / total.sum()), 5),
                {int(m): round(float(v), 4) for v, m in zip(top.values, top.indices, strict=True)},
                entries[int(candidate[k])] if named[k] else None,
            ))
    return out


def _counts(codes: Tensor, code: int) -> Tensor:
    return (codes == code).flatten(1).sum(1).float()


def _supported(count: Tensor, candidate: Tensor, train: WindowSet, membership: Tensor, seed: int) -> list[bool]:
    """For every code, whether its candidate sub-action passes the test. count: windows × codes."""
    generator = torch.Generator().manual_seed(seed)
    owns = membership.float()[:, candidate]  # class × code: whether the class owns the code's candidate
    wearers = []
    for subject in sorted(set(train.subject.tolist())):
        rows = torch.from_numpy((train.subject == subject).nonzero()[0])
        done, windows = train.y[rows].unique(return_counts=True)
        by_class = torch.zeros(len(membership), count.shape[1]).index_add_(0, train.y[rows], count[rows])
        # Per window of an activity, so that an activity that lasted longer does not draw names to it.
        wearers.append((done, by_class[done] / windows[:, None]))
    total = torch.stack([rates.sum(0) for _, rates in wearers]).sum(0).clamp_min(1e-9)

    def statistic(order: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([(owns[order(done)] * rates).sum(0) for done, rates in wearers]).sum(0) / total

    null = torch.stack([
        statistic(lambda done: done[torch.randperm(len(done), generator=generator)]) for _ in range(PERMUTATIONS)
    ])
    mean, deviation = null.mean(0), null.std(0).clamp_min(1e-9)
    bar = torch.quantile(((null - mean) / deviation).max(1).values, 1 - LEVEL)
    return [bool(v) for v in ((statistic(lambda done: done) - mean) / deviation > bar) & (count.sum(0) > 0)]
