"""The student: pieces -> frozen codes -> contributions that add up to the label.

    piece ─ small learned map ─ z ─ nearest frozen code ─ embedding ─┐
    offset, log-scale (g) ───────────────────────────────────────────┴─ network of that length ─┬─ contributions (C)
                                                                                                 └─ sub-actions (M)
    logits = Σ over tokens of contributions + bias

- A token's rows depend on its own codes, attributes and length, and on nothing else: a reason is the whole reason.
- The map follows the codebook's encoder (L_KD on z); labels reach only what comes after the codes, so that the codes
  stay shapes.
- Contributions are centred: over classes (a constant added to all says nothing), and over the training windows (an
  average piece counts zero; what all windows share goes into the bias).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook.model import ShapeCodebook, ShapeEncoder, attribute_inputs
from mmvq_train.codebook.quantiser import closeness, two_nearest
from mmvq_train.codebook.text import TEXT_DIM
from mmvq_train.config import Config
from mmvq_train.dropout import Dropout
from mmvq_train.pieces import Layout, Pieces, PieceValues
from mmvq_train.student.unknown import Unlikeness
from mmvq_train.workspace import SlotReader


@dataclass(frozen=True)
class StudentOutput:
    """Per window: logits (B, C), codes (B, T, S), margins (B, T, S), attributes (B, T, A, 4: t, length, offset,
    scale), contributions (B, T, C), sub-action logits (B, T, M), token embeddings (B, T, width), z (B, T, S, d).

    S, streams: the A axes, or 1 of joint codes."""

    logits: Tensor
    codes: Tensor
    margins: Tensor
    attributes: Tensor
    contributions: Tensor
    actions: Tensor
    embeddings: Tensor
    z: Tensor


@dataclass(frozen=True)
class Part:
    """The tokens of one view of pieces: a student by themselves, which learns apart from the others.

    layout: of nothing else; tokens: which these are of all; of every length its head, and share, what that counts.
    """

    layout: Layout
    tokens: slice
    heads: list[nn.Linear]
    share: list[float]


class ActionHead(nn.Module):
    """Token embeddings (..., width) -> sub-action logits (..., M): how near they come to each sub-action's text.

    `prototypes` (M, 32) are the texts in the joint space, frozen; all zero without text, which makes every sub-action
    equally likely.
    """

    prototypes: Tensor

    def __init__(self, width: int, actions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, TEXT_DIM)
        self.register_buffer("prototypes", torch.zeros(actions, TEXT_DIM))

    def forward(self, embeddings: Tensor) -> Tensor:
        """One product for the place in the joint space, one for the likeness to each text."""
        return self.linear(embeddings) @ self.prototypes.T

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """Both products as one."""
        one = nn.Linear(self.linear.in_features, len(self.prototypes))
        one.weight.copy_(self.prototypes @ self.linear.weight)
        one.bias.copy_(self.prototypes @ self.linear.bias)
        return one


class Student(nn.Module):
    """(B, window, 3) in g -> StudentOutput. `codes` (lengths, K, d) are frozen."""

    codes: Tensor
    laid: Tensor
    back: Tensor
    same_length: Tensor
    temperature: Tensor
    threshold: Tensor

    def __init__(
        self, layout: Layout, size: int, dim: int, classes: int, actions: int, width: int, embedding: int,
        dropout: float = 0.0, reader: SlotReader | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.pieces = Pieces(layout)
        lengths = len(layout.lengths_s)
        self.maps = nn.ModuleList(nn.Linear(layout.points, dim, bias=False) for _ in layout.parts())
        self.register_buffer("codes", torch.zeros(lengths, size, dim))
        for name, index in zip(("laid", "back"), layout.side_by_side(), strict=True):
            self.register_buffer(name, index, persistent=False)
        self.register_buffer("same_length", layout.same_length(), persistent=False)
        self.register_buffer("temperature", torch.ones(()))
        self.unlikeness = Unlikeness(len(self.same_length), classes)
        self.register_buffer("threshold", torch.zeros(()))
        self.size = size
        # Row stream · size + code of a length's table: a code means another thing on another axis.
        self.embed = nn.ParameterList(
            nn.Parameter(torch.randn(layout.streams * size, embedding) * 0.3) for _ in range(lengths)
        )
        inputs = layout.streams * embedding + 2 * layout.axes
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(inputs, width), nn.ReLU(), Dropout(dropout),
                nn.Linear(width, width), nn.ReLU(), Dropout(dropout),
            )
            for _ in range(lengths)
        )
        self.reader = reader
        self.contribute = nn.ModuleList(nn.Linear(width, classes) for _ in range(lengths))
        self.act = ActionHead(width, actions)
        self.bias = nn.Parameter(torch.zeros(classes))
        # Long pieces are few: every length has the same say at the start, and learns its own by its weights. The whole
        # is the mean of its parts.
        self.share = [4.0 / (count * len(layout.parts())) for count in layout.counts]

    @torch.no_grad()
    def adopt(self, codebook: ShapeCodebook) -> None:
        """Take the frozen codes, the encoder's linear part as the map's start, and the sub-actions' prototypes."""
        self.codes.copy_(torch.stack([book.codes for book in codebook.books()]))
        for own, encoder in zip(self.maps, codebook.encoders, strict=True):
            assert isinstance(own, nn.Linear) and isinstance(encoder, ShapeEncoder)
            own.weight.copy_(encoder.linear.weight)
        if codebook.text is not None:
            self.act.prototypes.copy_(codebook.text.prototypes())

    def forward(self, x: Tensor) -> StudentOutput:
        """Cut the windows into pieces and judge them."""
        return self.judge(self.pieces.joined(x))

    def judge(self, pieces: PieceValues) -> StudentOutput:
        """As `forward`, of windows that are cut already, the pieces of all lengths in one."""
        z, codes, margins = self.locate(pieces.shape)
        contributions, embeddings = self.said(codes, attribute_inputs(pieces))
        return StudentOutput(
            logits=contributions.sum(1) + self.bias,
            codes=codes,
            margins=margins,
            attributes=self.attributes(pieces),
            contributions=contributions,
            actions=self.act(embeddings),
            embeddings=embeddings,
            z=z,
        )

    def tokens(self, pieces: PieceValues) -> tuple[Tensor, Tensor]:
        """All that the networks see of windows: codes (B, T, S), attributes as they like them (B, T, A, 2)."""
        _, codes, _ = self.locate(pieces.shape)
        return codes, attribute_inputs(pieces)

    def place(self, i: int, shape: Tensor) -> Tensor:
        """z (..., d) of shapes (..., 32·curves) of the i-th length, by the map of their view."""
        z: Tensor = self.maps[self.layout.part[i]](shape)
        return z

    def locate(self, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the shapes of all tokens (B, T, S, 32·curves): z (B, T, S, d), codes and margins (B, T, S)."""
        # One product, which is one node of the exported graph.
        maps = torch.stack([own.weight.T for own in self.maps if isinstance(own, nn.Linear)])
        rows = shape.flatten(1, 2).unflatten(1, (len(maps), -1))
        z = (rows @ maps).flatten(1, 2).unflatten(1, shape.shape[1:3])
        placed = z.detach()
        table = placed.index_select(1, self.laid).unflatten(1, (len(self.codes), -1)).flatten(2, 3)
        close = closeness(table, self.codes).unflatten(2, (-1, self.layout.streams)).flatten(1, 2)
        return z, *two_nearest(placed, close.index_select(1, self.back))

    def said(self, codes: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """Contributions (B, T, C) and embeddings (B, T, width) of `tokens`."""
        counts = self.layout.counts
        parts = zip(codes.split(counts, dim=1), attributes.split(counts, dim=1), strict=True)
        contributions, embeddings = zip(*(self.weigh(i, c, a) for i, (c, a) in enumerate(parts)), strict=True)
        return torch.cat(contributions, dim=1), torch.cat(embeddings, dim=1)

    def weigh(self, i: int, codes: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """What tokens of the i-th length count, (B, T, C), and their embeddings (B, T, width): codes (B, T, S) and
        attributes as a network likes them (B, T, A, 2) are all that it sees."""
        row = codes + self.size * torch.arange(self.layout.streams, device=codes.device)
        return self.read(i, F.embedding(row, self.embed[i]), attributes)

    def read(self, i: int, embedded: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """As `weigh`, of codes that are looked up already (B, T, S, embedding)."""
        features = torch.cat([embedded.flatten(2), attributes.flatten(2)], dim=-1)
        # Tokens as rows of a matrix: exported as one Gemm a layer, which int8 kernels take whole with bias and ReLU.
        hidden = self.networks[i](features.flatten(0, 1))
        if self.reader is not None:
            hidden = self.reader(hidden)
        contributions = self.contribute[i](hidden).unflatten(0, features.shape[:2])
        return contributions * self.share[i], hidden.unflatten(0, features.shape[:2])

    def by_length(self, contributions: Tensor) -> Tensor:
        """What tokens as long as each other count together, of all views: (B, T, C) -> (B, different lengths, C)."""
        return self.same_length @ contributions

    def attributes(self, pieces: PieceValues) -> Tensor:
        """(B, T, A, 4): start and length in seconds, offset and scale in g."""
        span = torch.from_numpy(self.layout.spans_s()).to(pieces.offset)[None, :, None]
        span = span.expand(*pieces.offset.shape, 2)
        return torch.cat([span, pieces.offset[..., None], pieces.scale[..., None]], dim=-1)

    @torch.no_grad()
    def centre(self, x: Tensor) -> None:
        """Centre contributions over classes and over the windows x (N, W, 3); label probabilities stay as they are."""
        self.eval()
        for head in self.heads():
            head.weight.sub_(head.weight.mean(0, keepdim=True))
            head.bias.sub_(head.bias.mean())
        self.bias.sub_(self.bias.mean())
        mean = torch.stack([self(part).contributions.sum(0) for part in x.split(256)]).sum(0) / len(x)
        for i, (head, part) in enumerate(zip(self.heads(), mean.split(self.layout.counts), strict=True)):
            head.bias.sub_(part.mean(0) / self.share[i])
        self.bias.add_(mean.sum(0))

    def parts(self) -> list[Part]:
        """Each view by itself; contributions add up to the mean of what the parts say alone."""
        layouts, found, tokens, lengths = self.layout.parts(), [], 0, 0
        for layout in layouts:
            own = slice(lengths, lengths + len(layout.counts))
            share = [len(layouts) * one for one in self.share[own]]
            found.append(Part(layout, slice(tokens, tokens + layout.tokens), self.heads()[own], share))
            tokens, lengths = tokens + layout.tokens, own.stop
        return found

    def heads(self) -> list[nn.Linear]:
        """What turns token embeddings into contributions, shortest length first."""
        return [head for head in self.contribute if isinstance(head, nn.Linear)]


def make_student(config: Config, classes: int, actions: int) -> Student:
    """An untrained one of that configuration."""
    s, c, w = config.student, config.codebook, config.workspace
    reader = SlotReader(s.width, w.dim, w.slots, w.heads) if w.frozen else None
    return Student(config.layout, c.size, c.dim, classes, actions, s.width, s.embedding, s.dropout, reader)


def sub_action_probabilities(actions: Tensor) -> Tensor:
    """(B, T, M) logits -> probabilities. Logits of a student without text are all zero: an even spread."""
    return F.softmax(actions, dim=-1)
