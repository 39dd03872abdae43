"""The text-guided shape codebook: VQShape's parts on fixed pieces in g, with text as target.

    pieces ─ shape encoder ─ z ─ nearest code ─ z_q ─┬─ shape decoder ─ the code's shape
    offset, scale (g) ───────────────────────────────┼─ whole-window decoder ─ the signal in g
                                                     ├─ action decoder ─ sub-action of the token
                                                     ├─ pooled, projected ─ contrast with the label's text
                                                     └─ class head (additive)
    sub-action texts ─ projection ─ own action codebook ─ rebuilds the label's embedding

- Method 2 of MMVQShape (SYSTEMS 2): the *quantised code* predicts the sub-action, so each code has shape and meaning.
- One shape encoder and decoder for all lengths and axes; one codebook a length, as a second and ten seconds of
  movement have different shapes.
- The prototypes of the action decoder are the texts' embeddings, projected: similar sub-actions share strength.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook.quantiser import Codebook, Quantised
from mmvq_train.pieces import POINTS, Layout, Pieces, PieceValues

TEXT_DIM = 32  # joint space of signal and text; 384 dimensions of MiniLM hold about this many for a few dozen texts
HIDDEN = 64
BEND = 0.5  # per dimension of z, which has a deviation of about 1: text may move borders between codes, not make them


class ShapeEncoder(nn.Module):
    """Shapes (..., 32) -> z (..., d): a projection that keeps lengths, plus a bend that text and labels may ask for.

    The projection's rows are kept orthonormal and the bend is bounded, so z cannot grow without limit (under the
    balanced update it otherwise does, and the codes lag ever farther behind), and near in z stays near in shape.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(POINTS, dim, bias=False)
        first, last = nn.Linear(POINTS, HIDDEN), nn.Linear(HIDDEN, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.bend = nn.Sequential(first, nn.ReLU(), last)
        self.constrain()

    def forward(self, shape: Tensor) -> Tensor:
        """Project and bend."""
        return self.linear(shape) + BEND * torch.tanh(self.bend(shape))

    @torch.no_grad()
    def constrain(self) -> None:
        """Back to orthonormal rows, after a step of the optimiser (the nearest such matrix, by its polar form)."""
        u, _, v = torch.linalg.svd(self.linear.weight, full_matrices=False)
        self.linear.weight.copy_(u @ v)


@dataclass(frozen=True)
class TextTargets:
    """What the bank offers as target: entries (M, E) of the action codebook, membership bool (C, M) of activities in
    them, and the activities' own embeddings (C, E)."""

    entries: Tensor
    membership: Tensor
    activities: Tensor


class TextBranch(nn.Module):
    """Sub-action texts through their own codebook to the label's embedding; and the prototypes of the joint space."""

    entries: Tensor
    membership: Tensor
    activities: Tensor

    def __init__(self, targets: TextTargets) -> None:
        super().__init__()
        self.register_buffer("entries", F.normalize(targets.entries - targets.entries.mean(0), dim=-1))
        self.register_buffer("membership", targets.membership.float())
        self.register_buffer("activities", F.normalize(targets.activities - targets.activities.mean(0), dim=-1))
        width = targets.entries.shape[1]
        self.project = nn.Linear(width, TEXT_DIM)
        self.actions = Codebook(len(targets.entries), TEXT_DIM)
        self.rebuild = nn.Linear(TEXT_DIM, width)

    def prototypes(self) -> Tensor:
        """(M, TEXT_DIM), of unit length."""
        return F.normalize(self.project(self.entries), dim=-1)

    def labels(self) -> Tensor:
        """(C, TEXT_DIM): the mean prototype of an activity's sub-actions."""
        share = self.membership / self.membership.sum(-1, keepdim=True).clamp_min(1)
        return share @ self.prototypes()

    def loss(self) -> Tensor:
        """1 − cosine between the rebuilt and the true embedding of each label, plus the commitment."""
        quantised = self.actions(self.prototypes())
        share = self.membership / self.membership.sum(-1, keepdim=True).clamp_min(1)
        rebuilt = self.rebuild(share @ quantised.z)
        return (1 - F.cosine_similarity(rebuilt, self.activities, dim=-1)).mean() + 0.25 * quantised.commitment


class ShapeCodebook(nn.Module):
    """Stage 1. `targets` None leaves the text branch and the action decoder out."""

    def __init__(self, layout: Layout, size: int, dim: int, classes: int, targets: TextTargets | None) -> None:
        super().__init__()
        self.layout = layout
        self.pieces = Pieces(layout)
        self.encoder = ShapeEncoder(dim)
        self.decoder = nn.Sequential(nn.Linear(dim, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, POINTS))
        count = len(layout.lengths_s)
        self.codebooks = nn.ModuleList(Codebook(size, dim) for _ in range(count))
        features = layout.axes * (dim + 2)
        self.mix = nn.ModuleList(nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU()) for _ in range(count))
        self.whole = nn.ModuleList(
            nn.Linear(features + HIDDEN, 3 * layout.samples(i)) for i in range(count)
        )
        self.classify = nn.ModuleList(nn.Linear(HIDDEN, classes) for _ in range(count))
        self.text = TextBranch(targets) if targets else None
        # The action decoder reads each axis's quantised code by itself and adds up: a code has a meaning of its own.
        self.code_action = nn.Linear(dim, layout.axes * TEXT_DIM)
        self.token_action = nn.Linear(features, TEXT_DIM)
        self.align = nn.Linear(HIDDEN, TEXT_DIM)

    def encode(self, x: Tensor) -> tuple[list[PieceValues], list[Tensor]]:
        """(B, window, 3) -> pieces and z (B, T, A, d) of every length."""
        pieces: list[PieceValues] = self.pieces(x)
        return pieces, [self.encoder(p.shape) for p in pieces]

    def quantise(self, z: list[Tensor]) -> list[Quantised]:
        """z of every length through its codebook."""
        return [book(part) for book, part in zip(self.codebooks, z, strict=True)]

    def features(self, pieces: list[PieceValues], quantised: list[Quantised]) -> list[Tensor]:
        """(B, T, A·(d+2)): quantised codes with offset and log-scale."""
        return [
            torch.cat([q.z, attribute_inputs(p)], dim=-1).flatten(2)
            for p, q in zip(pieces, quantised, strict=True)
        ]

    def hidden(self, features: list[Tensor]) -> list[Tensor]:
        """(B, T, HIDDEN) of every length."""
        return [mix(f) for mix, f in zip(self.mix, features, strict=True)]

    def logits(self, hidden: list[Tensor]) -> Tensor:
        """Class logits (B, C), added up over tokens."""
        parts = [head(h).mean(1) for head, h in zip(self.classify, hidden, strict=True)]
        return torch.stack(parts).sum(0)

    def rebuild(self, features: list[Tensor], hidden: list[Tensor]) -> Tensor:
        """The whole window (B, window, 3) in g: every piece drawn from its token, laid in place, averaged."""
        layout = self.layout
        batch = features[0].shape[0]
        total = features[0].new_zeros(batch, layout.window, 3)
        count = features[0].new_zeros(layout.window, 1)
        for i, (f, h) in enumerate(zip(features, hidden, strict=True)):
            drawn = self.whole[i](torch.cat([f, h], dim=-1)).view(batch, f.shape[1], layout.samples(i), 3)
            index = self.pieces.get_buffer(f"index_{i}")
            total = total.index_add(1, index.flatten(), drawn.flatten(1, 2))
            count = count.index_add(0, index.flatten(), count.new_ones(index.numel(), 1))
        return total / count

    def action_logits(self, features: list[Tensor], quantised: list[Quantised]) -> Tensor:
        """Sub-action logits (B, tokens, M)."""
        assert self.text is not None
        parts = []
        for f, q in zip(features, quantised, strict=True):
            by_axis = self.code_action(q.z).unflatten(-1, (self.layout.axes, TEXT_DIM))
            own = torch.diagonal(by_axis, dim1=2, dim2=3).sum(-1)
            parts.append(own + self.token_action(f))
        return 3 * torch.cat(parts, dim=1) @ self.text.prototypes().T

    def pooled(self, hidden: list[Tensor]) -> Tensor:
        """A window in the joint space with text, (B, TEXT_DIM)."""
        return self.align(torch.stack([h.mean(1) for h in hidden]).mean(0))

    def code_shapes(self) -> list[Tensor]:
        """What each code looks like, (K, 32) for every length, zero mean."""
        drawn = [self.decoder(book.codes) for book in self.books()]
        return [d - d.mean(-1, keepdim=True) for d in drawn]

    def books(self) -> list[Codebook]:
        """The codebooks, shortest length first."""
        return [book for book in self.codebooks if isinstance(book, Codebook)]


def attribute_inputs(pieces: PieceValues) -> Tensor:
    """Offset and log-scale as a network likes them, (B, T, A, 2): both of about unit size."""
    return torch.stack([pieces.offset, torch.log(pieces.scale + 0.01) + 2.0], dim=-1)
