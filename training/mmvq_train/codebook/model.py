"""The text-guided shape codebook: VQShape's parts on fixed pieces in g, with text as target.

    pieces ─ shape encoder ─ z ─ nearest code ─ z_q ─┬─ shape decoder ─ the code's shape
               (per axis,    │                       ├─ with offset and scale: whole-window decoder ─ the signal in g
               or jointly)   │                       ├─ action decoder (Method 2) ─ sub-action of the token
                             │                       ├─ pooled, projected ─ contrast with the label's texts
                             │                       └─ class head (additive)
                             └─ action head (Method 1) ─ sub-action of the token
    sub-action texts ─ projection ─ own action codebook ─ rebuilds the label's embedding          (text.py)
    z_q and the texts of the window's label ─ two cross-attentions                                (fusion.py)

- Method 2 of MMVQShape (SYSTEMS 2): the *quantised code* predicts the sub-action, so each code itself has a shape and a
  meaning. Method 1 lets the token predict it before it is quantised. Either, or both.
- One shape encoder and decoder a view, for all its lengths and axes; one codebook a length, as a second and ten seconds
  of movement have different shapes.
- The prototypes of the action decoder are the texts' embeddings, projected: similar sub-actions share strength.
"""

from typing import Final

import torch
from torch import Tensor, nn

from mmvq_train.codebook.fusion import Fusion
from mmvq_train.codebook.quantiser import Codebook, Quantised
from mmvq_train.codebook.text import TEXT_DIM, TextBranch, TextTargets
from mmvq_train.config import Method
from mmvq_train.dropout import Dropout
from mmvq_train.pieces import Layout, Pieces, PieceValues

HIDDEN: Final = 64  # of what shapes are made of and drawn by
WIDTH: Final = 128  # of what reads tokens
EMBEDDING: Final = 16  # beside z_q: what a code means need not be smooth in its shape
DROPOUT: Final = 0.2  # of the readers
BEND: Final = 0.5  # per dimension of z, which has a deviation of about 1: text moves borders between codes
SHARPEN: Final = 3.0  # logits are cosines times what the decoder says, times this


class ShapeEncoder(nn.Module):
    """Shapes (..., points) -> z (..., d): a projection that keeps lengths, plus a bend that text and labels ask for.

    The projection's rows are kept orthonormal and the bend is bounded, so z cannot grow without limit (under the
    balanced update it otherwise does, and the codes lag ever farther behind), and near in z stays near in shape.
    """

    def __init__(self, points: int, dim: int, most: float = BEND) -> None:
        super().__init__()
        self.most = most
        self.linear = nn.Linear(points, dim, bias=False)
        first, last = nn.Linear(points, HIDDEN), nn.Linear(HIDDEN, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.bend = nn.Sequential(first, nn.ReLU(), last)
        self.constrain()

    def forward(self, shape: Tensor) -> Tensor:
        """Project and bend."""
        return self.linear(shape) + self.most * torch.tanh(self.bend(shape))

    @torch.no_grad()
    def constrain(self) -> None:
        """Back to orthonormal rows, after a step of the optimiser (the nearest such matrix, by its polar form)."""
        u, _, v = torch.linalg.svd(self.linear.weight, full_matrices=False)
        self.linear.weight.copy_(u @ v)


class ShapeCodebook(nn.Module):
    """Stage 1. `targets` None leaves the text branch and the action decoders out; `fused` adds the cross-attentions."""

    def __init__(
        self, layout: Layout, size: int, dim: int, classes: int, targets: TextTargets | None,
        bend: float = BEND, fused: bool = False, method: Method = "code",
    ) -> None:
        super().__init__()
        self.layout = layout
        self.method = method
        self.pieces = Pieces(layout)
        views = range(len(layout.parts()))
        self.encoders = nn.ModuleList(ShapeEncoder(layout.points, dim, bend) for _ in views)
        self.decoders = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, layout.points)) for _ in views
        )
        count = len(layout.lengths_s)
        self.codebooks = nn.ModuleList(Codebook(size, dim) for _ in range(count))
        features = layout.streams * dim + 2 * layout.axes
        self.embed = nn.ModuleList(nn.Embedding(layout.streams * size, EMBEDDING) for _ in range(count))
        self.mix = nn.ModuleList(_reader(features + layout.streams * EMBEDDING) for _ in range(count))
        self.whole = nn.ModuleList(
            nn.Linear(features + WIDTH, layout.channels * layout.samples(i)) for i in range(count)
        )
        self.classify = nn.ModuleList(nn.Linear(WIDTH, classes) for _ in range(count))
        self.text = TextBranch(targets) if targets else None
        self.code_action = nn.Linear(WIDTH, TEXT_DIM)
        self.token_action = nn.ModuleList(
            nn.Sequential(_reader(features), nn.Linear(WIDTH, TEXT_DIM)) for _ in range(count)
        ) if targets and method != "code" else None
        self.align = nn.Linear(WIDTH, TEXT_DIM)
        self.fusion = Fusion(dim, targets.entries.shape[1], classes) if targets and fused else None

    def encode(self, x: Tensor) -> tuple[list[PieceValues], list[Tensor]]:
        """(B, window, channels) -> pieces and z (B, T, S, d) of every length; S: streams."""
        pieces: list[PieceValues] = self.pieces(x)
        return pieces, [self.encoders[k](p.shape) for k, p in zip(self.layout.part, pieces, strict=True)]

    def draw(self, i: int, z: Tensor) -> Tensor:
        """Shapes (..., 32·curves) of z (..., d) of the i-th length, quantised or not."""
        shapes: Tensor = self.decoders[self.layout.part[i]](z)
        return shapes

    def constrain(self) -> None:
        """After a step of the optimiser: every encoder's projection back to what keeps lengths."""
        for encoder in self.encoders:
            assert isinstance(encoder, ShapeEncoder)
            encoder.constrain()

    def quantise(self, z: list[Tensor]) -> list[Quantised]:
        """z of every length through its codebook."""
        return [book(part) for book, part in zip(self.codebooks, z, strict=True)]

    def features(self, pieces: list[PieceValues], z: list[Tensor]) -> list[Tensor]:
        """(B, T, S·d + 2A): z of a token, quantised or not, with offset and log-scale."""
        return [
            torch.cat([part.flatten(2), attribute_inputs(p).flatten(2)], dim=-1)
            for p, part in zip(pieces, z, strict=True)
        ]

    def hidden(self, features: list[Tensor], codes: list[Tensor]) -> list[Tensor]:
        """What a token's codes and attributes say together, (B, T, WIDTH) of every length; `features` of its z_q."""
        stream = torch.arange(self.layout.streams, device=features[0].device) * len(self.books()[0].codes)
        return [
            mix(torch.cat([f, embed(c + stream).flatten(2)], dim=-1))
            for mix, embed, f, c in zip(self.mix, self.embed, features, codes, strict=True)
        ]

    def logits(self, hidden: list[Tensor]) -> Tensor:
        """Class logits (B, C), added up over tokens."""
        parts = [head(h).mean(1) for head, h in zip(self.classify, hidden, strict=True)]
        return torch.stack(parts).sum(0)

    def rebuild(self, features: list[Tensor], hidden: list[Tensor]) -> Tensor:
        """The whole window (B, window, channels) in g: every piece drawn from its token, laid in place, averaged."""
        layout = self.layout
        batch = features[0].shape[0]
        total = features[0].new_zeros(batch, layout.window, layout.channels)
        count = features[0].new_zeros(layout.window, 1)
        for i, (f, h) in enumerate(zip(features, hidden, strict=True)):
            drawn = self.whole[i](torch.cat([f, h], dim=-1))
            drawn = drawn.view(batch, f.shape[1], layout.samples(i), layout.channels)
            index = layout.inside(i).to(drawn.device)
            total = total.index_add(1, index.flatten(), drawn.flatten(1, 2))
            count = count.index_add(0, index.flatten(), count.new_ones(index.numel(), 1))
        return total / count

    def code_action_logits(self, hidden: list[Tensor]) -> Tensor:
        """Method 2: sub-action logits (B, tokens, M), from what the quantised codes say."""
        return self._likeness(self.code_action(torch.cat(hidden, dim=1)))

    def token_action_logits(self, pieces: list[PieceValues], z: list[Tensor]) -> Tensor:
        """Method 1: sub-action logits (B, tokens, M) from tokens that are not quantised."""
        assert self.token_action is not None
        parts = [head(f) for head, f in zip(self.token_action, self.features(pieces, z), strict=True)]
        return self._likeness(torch.cat(parts, dim=1))

    def action_logits(self, pieces: list[PieceValues], z: list[Tensor]) -> Tensor:
        """What the finished codebook says of tokens: sub-action logits (B, tokens, M), by the method that trained it;
        by the codes if both did."""
        if self.method == "token":
            return self.token_action_logits(pieces, z)
        quantised = self.quantise(z)
        features = self.features(pieces, [q.z for q in quantised])
        return self.code_action_logits(self.hidden(features, [q.codes for q in quantised]))

    def actions_of(self, codes: Tensor, attributes: Tensor) -> Tensor:
        """The same of codes (B, tokens, S) and attributes (B, tokens, A, 2) alone, for a reader that has no z."""
        counts = self.layout.counts
        chosen = list(codes.split(counts, dim=1))
        features = [
            torch.cat([book.codes[c].flatten(2), a.flatten(2)], dim=-1)
            for book, c, a in zip(self.books(), chosen, attributes.split(counts, dim=1), strict=True)
        ]
        if self.token_action is not None and self.method == "token":
            parts = [head(f) for head, f in zip(self.token_action, features, strict=True)]
            return self._likeness(torch.cat(parts, dim=1))
        return self.code_action_logits(self.hidden(features, chosen))

    def _likeness(self, place: Tensor) -> Tensor:
        assert self.text is not None
        return SHARPEN * place @ self.text.prototypes().T

    def pooled(self, hidden: list[Tensor]) -> Tensor:
        """A window in the joint space with text, (B, TEXT_DIM)."""
        return self.align(torch.stack([h.mean(1) for h in hidden]).mean(0))

    def code_shapes(self) -> list[Tensor]:
        """What each code looks like, (K, 32·curves) for every length, each curve of zero mean."""
        curves = self.layout.curves
        drawn = [self.draw(i, book.codes).unflatten(-1, (curves, -1)) for i, book in enumerate(self.books())]
        return [(d - d.mean(-1, keepdim=True)).flatten(1) for d in drawn]

    def books(self) -> list[Codebook]:
        """The codebooks, shortest length first."""
        return [book for book in self.codebooks if isinstance(book, Codebook)]

    @torch.no_grad()
    def freeze(self) -> None:
        """Round codes to half precision, which a model file then holds in two bytes, unchanged."""
        for book in self.books():
            book.codes.copy_(book.codes.half())


def _reader(inputs: int) -> nn.Sequential:
    layers = [nn.Linear(inputs, WIDTH), nn.ReLU(), Dropout(DROPOUT), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers, Dropout(DROPOUT))


def attribute_inputs(pieces: PieceValues) -> Tensor:
    """Offset and log-scale as a network likes them, (B, T, A, 2): both of about unit size."""
    return torch.stack([pieces.offset, torch.log(pieces.scale + 0.01) + 2.0], dim=-1)


def scale_g(attributes: Tensor) -> Tensor:
    """The scale in g (B, T, A) out of `attribute_inputs`."""
    return (attributes[..., 1] - 2.0).exp() - 0.01
