"""What each code looks like, how much it is used, which sub-actions it stands for, and whether it may bear a name.

Which sub-action a piece is was never observed; the label of its window is, and so is what the student thinks:

    q(m | piece, y) ∝ p(m | piece) · 1[m in A(y)]     p: the student's sub-action probabilities, A(y): members of y

- Cells are (wearer, activity) and all weigh the same, in rates per window: that is the activity prior. Neither a long
  bout nor an activity that many do draws names to it.
- p(code, m) is the sum of q over the cells, and a code's statistic is max over m of p(m | k) log2 p(m | k) / p(m): the
  largest term of its specific information, whose mean over codes is I(code; sub-action). That m is the candidate name.
- A name may be nothing but the class prior (SYSTEMS 4), so it is tested: every wearer's activities swap their labels,
  whole bouts at a time (windows of a bout are alike, and swapping them one by one would find everything significant).
- The student has seen the labels: it is sharp inside A(y) and need not be outside, so q of a piece under another label
  is blunter than under its own, and the sharpness alone would pass for information. What is swapped is therefore how
  often a bout has which codes. How a code is assigned in windows of an activity, q(m | k, y), stays as it is and is
  looked up under the swapped label: whatever the machinery's habit of assigning, the null has it too. Where a code was
  never seen in an activity, its pieces' own q under that label stands in.
- The max over m is taken anew in every swap, and the largest standardised statistic over all codes of all lengths sets
  the bar (Westfall & Young 1993): one run in twenty has a false name, not one code in twenty.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.data import WindowSet
from mmvq_train.evaluate import Judged
from mmvq_train.pieces import POINTS, PieceView
from mmvq_train.student.model import Student

PERMUTATIONS: Final = 500
LEVEL: Final = 0.05
LARGEST: Final = 5  # sub-actions kept a code
ROWS: Final = 256  # windows worked on at once: some 10 MB of q where 45 sub-actions have 100 owners
TINY: Final = 1e-12  # a probability: a set that the student rules out is shared evenly instead of dividing 0 by 0
ROUNDING: Final = 1e-6  # in deviations: two swaps that come to the same differ by less


@dataclass(frozen=True)
class Code:
    """shape: a curve of 32 points for every axis that the code draws (1, or 3 of a joint code), over time, or over
    frequency where the view is rhythm; usage: share of its length's pieces; sub_actions: {index: p(m | code)}, the
    largest; bits: its specific information, KL(p(m | code) ‖ p(m)), as measured, so also by chance (nothing is taken
    off); p: how often chance has a larger statistic in any code. Without text bits and p are None."""

    shape: list[list[float]]
    length_s: float
    view: PieceView
    usage: float
    sub_actions: dict[int, float]
    name: str | None
    bits: float | None = None
    p: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As in codes.json; the model's metadata leave out bits and p."""
        return {
            "shape": self.shape,
            "length_s": self.length_s,
            "view": self.view,
            "usage": self.usage,
            "sub_actions": {str(k): v for k, v in self.sub_actions.items()},
            "name": self.name,
            "bits": self.bits,
            "p": self.p,
        }


@dataclass(frozen=True)
class Association:
    """What the K codes of one length tell of M sub-actions, every (wearer, activity) weighing the same.

    given: p(m | k), (K, M), zero where a code is unused; bits: specific information (K,); candidate: the name that a
    code may get (K,); p: of the code's statistic, the choice among all sub-actions and codes accounted for (K,).
    information: I(code; sub-action) in bits; by_chance: its mean when labels are swapped; p_information: how often it
    is as large then.
    """

    length_s: float
    given: Tensor
    bits: Tensor
    candidate: Tensor
    p: Tensor
    information: float
    by_chance: float
    p_information: float

    def as_json(self) -> dict[str, float]:
        """Of the whole length, in bits."""
        return {
            "length_s": self.length_s,
            "information": self.information,
            "by_chance": self.by_chance,
            "p": self.p_information,
        }


class _Cell(NamedTuple):
    """One activity of one wearer; rows: of its windows."""

    wearer: int
    activity: int
    rows: Tensor


def describe_codes(
    student: Student,
    codebook: ShapeCodebook,
    judged: Judged,
    entries: tuple[str, ...],
    told: Sequence[Association] | None,
) -> list[Code]:
    """Codes of all lengths, shortest first; the order is that of the published output `codes`.

    entries: texts of the M sub-actions; told: what `associations` found, None without text: then no code has a name,
    and all sub-actions are equally likely.
    """
    layout, size = student.layout, student.size
    even = torch.full((size, len(entries)), 1 / max(1, len(entries)))
    out: list[Code] = []
    for i, (codes, drawn) in enumerate(zip(judged.codes.split(layout.counts, 1), codebook.code_shapes(), strict=True)):
        usage = codes.flatten().bincount(minlength=size) / codes.numel()
        shapes = _unit_shapes(drawn)
        given = told[i].given if told else even
        for k in range(size):
            top = given[k].topk(min(LARGEST, given.shape[1]))
            named = told is not None and usage[k] > 0 and told[i].p[k] <= LEVEL
            out.append(Code(
                [[round(v, 3) for v in curve] for curve in shapes[k].tolist()],
                layout.lengths_s[i],
                layout.view(i),
                round(float(usage[k]), 5),
                {int(m): round(float(v), 4) for v, m in zip(top.values, top.indices, strict=True)},
                entries[int(told[i].candidate[k])] if told and named else None,
                round(float(told[i].bits[k]), 4) if told else None,
                round(float(told[i].p[k]), 4) if told else None,
            ))
    return out


def associations(
    student: Student, judged: Judged, train: WindowSet, membership: Tensor, seed: int
) -> list[Association]:
    """Codes against sub-actions, one Association a length, shortest first.

    judged: the student's output over `train`; membership: bool (C, M). The same swaps of labels serve all lengths, so
    that the largest statistic is over all of them.
    """
    counts = student.layout.counts
    cells = _cells(train)
    labels = _swapped(cells, torch.Generator().manual_seed(seed))
    joints = [
        _joint(*_assignments(codes, actions, cells, membership, student.size), labels)
        for codes, actions in zip(judged.codes.split(counts, 1), judged.sub_actions.split(counts, 1), strict=True)
    ]
    standard = [_standardised(largest_term(joint)[0]) for joint in joints]
    largest = torch.cat(standard, dim=1).amax(1, keepdim=True)
    out = []
    for length_s, joint, z in zip(student.layout.lengths_s, joints, standard, strict=True):
        bits, share = specific_information(joint), joint.sum(-1)
        whole = (share * bits).sum(-1)
        out.append(Association(
            length_s, conditional(joint[0]), bits[0], largest_term(joint[0])[1],
            (largest >= z[0] - ROUNDING).double().mean(0),
            float(whole[0]), float(whole[1:].mean()), float((whole >= whole[0] - ROUNDING).double().mean()),
        ))
    return out


def conditional(joint: Tensor) -> Tensor:
    """p(m | k) of p(k, m), (..., K, M); zero for a code that does not occur."""
    return joint / joint.sum(-1, keepdim=True).clamp_min(TINY)


def specific_information(joint: Tensor) -> Tensor:
    """KL(p(m | k) ‖ p(m)) in bits, (..., K), of p(k, m), (..., K, M). Its mean over codes is I(k; m)."""
    return _terms(joint).sum(-1)


def largest_term(joint: Tensor) -> tuple[Tensor, Tensor]:
    """Of every code the largest p(m | k) log2 p(m | k) / p(m) in bits and its m, both (..., K).

    Only an m of at least an even share, p(m | k) ≥ 1/M, is a candidate; without a positive one the largest is 0.
    """
    even = (1 - ROUNDING) / joint.shape[-1]
    best = _terms(joint).masked_fill(conditional(joint) < even, 0.0).max(-1)
    return best.values, best.indices


def _terms(joint: Tensor) -> Tensor:
    given, prior = conditional(joint), joint.sum(-2, keepdim=True)
    return torch.xlogy(given, given / prior.clamp_min(TINY)) / math.log(2)


def _cells(train: WindowSet) -> list[_Cell]:
    out = []
    for wearer, subject in enumerate(sorted(set(train.subject.tolist()))):
        rows = torch.from_numpy((train.subject == subject).nonzero()[0])
        y = train.y[rows]
        out += [_Cell(wearer, activity, rows[y == activity]) for activity in y.unique().tolist()]
    return out


def _swapped(cells: Sequence[_Cell], generator: torch.Generator) -> Tensor:
    """(1 + PERMUTATIONS, cells): true activities first, then each wearer's in random order."""
    wearer = torch.tensor([cell.wearer for cell in cells])
    labels = torch.tensor([cell.activity for cell in cells]).repeat(1 + PERMUTATIONS, 1)
    for person in wearer.unique():
        own = (wearer == person).nonzero()[:, 0]
        for swap in labels[1:]:
            swap[own] = swap[own[torch.randperm(len(own), generator=generator)]]
    return labels


def _assignments(
    codes: Tensor, actions: Tensor, cells: Sequence[_Cell], membership: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Rates of codes in cells (cells, K), each cell's adding up to one, and q(m | k, y), (C, K, M).

    codes (N, T, S) and actions (N, T, M), of one length. Only members of A(y) are worked on: `pairs` of y and m.
    """
    classes, members = membership.shape
    pair_y, pair_m = membership.nonzero(as_tuple=True)
    sets = membership.float()
    rates = torch.zeros(len(cells), size, dtype=torch.float64)
    own = torch.zeros(size, len(pair_y), dtype=torch.float64)  # Σ q under the pieces' own labels
    other = torch.zeros_like(own)  # and under every label
    for i, cell in enumerate(cells):
        weight = 1 / codes[cell.rows].numel()
        for rows in cell.rows.split(ROWS):
            chosen = codes[rows].flatten(0, 1)
            hot = torch.zeros(len(chosen), size).scatter_add_(1, chosen, torch.ones(chosen.shape))
            p = actions[rows].flatten(0, 1).clamp_min(TINY)
            q = p[:, pair_m] / (p @ sets.T)[:, pair_y]
            sums = (hot.T @ q).double() * weight
            rates[i] += hot.sum(0).double() * weight
            other += sums
            own += sums * (pair_y == cell.activity)
    here = _by_activity(torch.tensor([cell.activity for cell in cells])[None], rates, classes)[0].T[:, pair_y]
    habit = torch.where(here > 0, own / here.clamp_min(TINY), other / rates.sum(0)[:, None].clamp_min(TINY))
    table = torch.zeros(classes, size, members, dtype=torch.float64)
    table[pair_y, :, pair_m] = habit.T
    return rates, table


def _by_activity(labels: Tensor, rates: Tensor, classes: int) -> Tensor:
    """Rates (P, C, K) of the codes in each activity: labels (P, cells), rates (cells, K)."""
    return torch.stack([(labels == y).double() @ rates for y in range(classes)], dim=1)


def _joint(rates: Tensor, table: Tensor, labels: Tensor) -> Tensor:
    """p(k, m), (P, K, M), under each row of labels (P, cells). Adds up to one."""
    joint = torch.einsum("pyk,ykm->pkm", _by_activity(labels, rates, len(table)), table)
    return joint / joint.sum((-1, -2), keepdim=True).clamp_min(TINY)


def _standardised(statistic: Tensor) -> Tensor:
    """(P, K): by mean and deviation over all rows, the true one among them, so that all rows are treated alike."""
    return (statistic - statistic.mean(0)) / statistic.std(0).clamp_min(1e-9)


def _unit_shapes(drawn: Tensor) -> Tensor:
    """(K, curves·32) -> (K, curves, 32): each curve's mean taken off, one deviation a code, so that curves of a joint
    code keep their sizes against each other."""
    curves = drawn.unflatten(-1, (-1, POINTS))
    curves = curves - curves.mean(-1, keepdim=True)
    return curves / curves.square().mean((-1, -2), keepdim=True).sqrt().clamp_min(1e-6)
