"""The additive classifier on frozen, signal-only tokens: what codes are worth when nothing else is learnt with them.

A token is its codes, offsets and log-scales, computed once by a frozen codebook, for the windows as they are and for
turned copies. One small network a length reads it; outputs are summed over all tokens (the student's own, DESIGN 4).
Beside it the same classifier on the shapes as they are, read by a linear map where codes have a table (no upper bound:
a table is the freer reader).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from common import macro_f1
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from mmvq_run.signal import load_folds
from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.model import attribute_inputs, scale_g
from mmvq_train.codebook.quantiser import nearest
from mmvq_train.config import CodebookConfig, Config, PiecesConfig, StudentConfig
from mmvq_train.data import WindowSet, augment, load_dataset, mixtures
from mmvq_train.pieces import Layout, Pieces
from mmvq_train.student import Student
from mmvq_train.student.tokens import copies_of

# How the two data sets are cut (DESIGN 5) and the classifier trained, chosen on inner splits (docs/lab-log.md); what
# else a student learns plays no part. selfBACK's 100 Hz say no more of it than 50; its stairs want short pieces.
DATA: dict[str, Config] = {
    "wisdm_watch": Config(
        train_hop_s=5.0, codebook=CodebookConfig(epochs=8),
        pieces=PiecesConfig((0.5, 1.0, 2.0, 4.0, 10.0), (0.5, 1.0, 1.0, 1.0, 1.0), views=("axes",)),
        student=StudentConfig(width=192, embedding=16, epochs=16, mixed=0),
    ),
    "selfback_wrist": Config(
        rate_hz=50.0, window_s=5.0, hop_s=2.5, train_hop_s=2.5, codebook=CodebookConfig(epochs=12),
        pieces=PiecesConfig((0.2, 0.4, 0.8, 1.6, 3.2), (0.25, 0.25, 0.5, 0.5, 0.5), views=("axes",)),
        student=StudentConfig(width=256, embedding=32, epochs=24, piece_dropout=0.7, mixed=0),
    ),
}


@dataclass(frozen=True)
class Reading:
    """What differs between data sets in how the classifier reads them, chosen as the above.

    hops_s: of the pieces, where more are read than codes are learnt on. gain: half of a code's embedding counts by its
    piece's scale in g times this, a code as a movement beside a code as a shape (4: movements of a wrist then are of
    about unit size); 0 leaves that out. by_batch: `piece_dropout` leaves the same pieces out of a whole batch, which
    then cost nothing, instead of some out of each window. attributes: what offset and log-scale are multiplied by; 0
    hides one.
    """

    hops_s: tuple[float, ...] | None = None
    gain: float = 0.0
    by_batch: bool = False
    attributes: tuple[float, float] = (1.0, 1.0)


READING = {"wisdm_watch": Reading(), "selfback_wrist": Reading((0.1, 0.1, 0.2, 0.2, 0.4), 4.0, by_batch=True)}
USED = (
    "width", "embedding", "dropout", "epochs", "batch", "learning_rate", "weight_decay", "smoothing", "piece_dropout",
    "rotation_deg", "gain", "average", "copies",
)  # of it
KMEANS_WINDOWS = 1500  # tens of thousands of pieces a length
STEPS_IN_MEMORY = 100  # of the average of weights


def windows(config: Config, fold: str, left_out: str | None) -> tuple[tuple[str, ...], WindowSet, WindowSet]:
    """Labels, windows of the training people (every `train_hop`) and of the test fold (every `hop`). People of the fold
    `left_out` are in neither."""
    assert config.split is not None
    data = load_dataset(config)
    folds = load_folds(config.split)
    out = folds[left_out] if left_out is not None else ()
    assert set(data.test.subject.tolist()) <= set(folds[fold])
    parts = [part.some(~np.isin(part.subject, out)) for part in (data.train, data.calibrate)]
    return data.labels, together(*parts), data.test


def together(*parts: WindowSet) -> WindowSet:
    """Several sets of windows as one."""
    return WindowSet(
        torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]),
        np.concatenate([part.subject for part in parts]),
    )


def kmeans_codebook(layout: Layout, size: int, train: WindowSet, classes: int) -> ShapeCodebook:
    """The yardstick: codes are k-means centres of the shapes themselves, which draw themselves."""
    book = ShapeCodebook(layout, size, layout.points, classes, None).eval().requires_grad_(False)
    (encoder,) = book.encoders
    encoder.linear.weight.copy_(torch.eye(layout.points))
    book.decoders[0] = torch.nn.Sequential()
    rows = torch.linspace(0, len(train) - 1, min(len(train), KMEANS_WINDOWS)).long()
    for pieces, codes in zip(book.pieces(train.x[rows]), book.books(), strict=True):
        model = MiniBatchKMeans(size, random_state=0, n_init=1, batch_size=4096).fit(pieces.shape[pieces.loud].numpy())
        codes.codes.copy_(torch.from_numpy(model.cluster_centers_))
    return book


def read_on(book: ShapeCodebook, hops_s: tuple[float, ...] | None) -> ShapeCodebook:
    """The same codes for pieces on other hops, if any: the encoder sees one piece at a time."""
    if hops_s is None:
        return book
    book.layout = replace(book.layout, hops_s=hops_s)
    book.pieces = Pieces(book.layout)
    return book


class Reader(Student):
    """The student's networks; with a gain, the second half of embeddings counts by the scale of their piece."""

    gain = 0.0

    def read(self, i: int, embedded: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """As the student's."""
        if not self.gain:
            return super().read(i, embedded, attributes)
        shape, movement = embedded.chunk(2, dim=-1)
        scale = scale_g(attributes)
        if self.layout.joint:
            scale = scale.square().mean(-1, keepdim=True).sqrt()
        return super().read(i, torch.cat([shape, self.gain * scale[..., None] * movement], dim=-1), attributes)


class Unquantised(Reader):
    """Reads shapes (B, T, S, points) where the student reads codes (B, T, S)."""

    def weigh(self, i: int, codes: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """As the student's, a matrix a stream in the place of the table of codes."""
        seen = torch.einsum("btsp,spe->btse", codes, self.embed[i].unflatten(0, (self.layout.streams, -1)))
        return self.read(i, seen, attributes)


def turned(x: Tensor, seed: int) -> Tensor:
    """A copy of windows, each turned and scaled a little, as the student's augmentation does."""
    generator, usual = torch.Generator().manual_seed(seed), StudentConfig()
    return torch.cat([augment(part, usual.rotation_deg, usual.gain, generator) for part in x.split(512)])


@torch.no_grad()
def tokens(book: ShapeCodebook, x: Tensor, quantised: bool = True) -> list[Tensor]:
    """Codes int16 (N, T, S), or shapes half (N, T, S, points), and attributes half (N, T, A, 2) of windows x."""
    codes, attributes = [], []
    for part in x.split(512):
        pieces, z = book.encode(part)
        if quantised:
            found = [nearest(values, own.codes).to(torch.int16) for values, own in zip(z, book.books(), strict=True)]
        else:
            found = [p.shape.half() for p in pieces]
        codes.append(torch.cat(found, dim=1))
        attributes.append(torch.cat([attribute_inputs(p) for p in pieces], dim=1).half())
    return [torch.cat(codes), torch.cat(attributes)]


def additive(
    book: ShapeCodebook, recipe: StudentConfig, reading: Reading, train: WindowSet, classes: int, seed: int,
    quantised: bool = True,
) -> Reader:
    """The classifier, trained on copies of the windows and on mixtures, if the recipe wants some."""
    generator, more = torch.Generator().manual_seed(seed + 1), []
    if recipe.mixed:  # as the student learns; what docs/codebook.md tells is of before
        seen = copies_of(train.x, recipe, seed)
    else:
        seen = [train.x, *(turned(train.x, 1000 * seed + i) for i in range(1, recipe.copies))]
    copies = [tokens(book, x, quantised) for x in seen]
    for _ in range(recipe.mixed):
        x, share, other = mixtures(train.x, generator, recipe.forearm, recipe.noise_g)
        more.append([*tokens(book, x, quantised), share, train.y[other]])
    torch.manual_seed(seed)
    size, dim = book.books()[0].codes.shape
    kind, inputs = (Reader, size) if quantised else (Unquantised, book.layout.points)
    net = kind(book.layout, inputs, dim, classes, 1, recipe.width, recipe.embedding, recipe.dropout)
    net.gain = reading.gain
    weights = [*net.embed, *net.networks.parameters(), *net.contribute.parameters(), net.bias]
    batches = len(train) // recipe.batch
    optimiser = torch.optim.AdamW(weights, recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1)
    mean = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - 1 / STEPS_IN_MEMORY)
    )

    def loss(codes: Tensor, attributes: Tensor, *labels: tuple[Tensor, Tensor]) -> Tensor:
        logits = _logits(net, codes, attributes, reading, recipe.piece_dropout)
        every = [
            (share * F.cross_entropy(logits, y, label_smoothing=recipe.smoothing, reduction="none")).mean()
            for y, share in labels
        ]
        return torch.stack(every).sum()

    for epoch in range(recipe.epochs):
        codes, attributes = copies[epoch % len(copies)]
        for rows in torch.randperm(len(train))[: batches * recipe.batch].split(recipe.batch):
            lost = loss(codes[rows], attributes[rows], (train.y[rows], torch.ones(len(rows))))
            if more:
                of, (mixed, given, share, other) = torch.randint(len(train), (len(rows),)), more[epoch % len(more)]
                lost = lost + loss(mixed[of], given[of], (train.y[of], share[of]), (other[of], 1 - share[of]))
            optimiser.zero_grad()
            lost.backward()
            optimiser.step()
            schedule.step()
            if epoch >= recipe.epochs * (1 - recipe.average):
                mean.update_parameters(net)
    averaged: Any = mean.module
    return averaged.eval()


@torch.no_grad()
def said(net: Reader, book: ShapeCodebook, reading: Reading, x: Tensor) -> Tensor:
    """What the classifier says of windows x (N, W, 3): logits (N, classes)."""
    parts = zip(*(part.split(512) for part in tokens(book, x, not isinstance(net, Unquantised))), strict=True)
    return torch.cat([_logits(net, codes, attributes, reading) for codes, attributes in parts])


def scores(truth: WindowSet, guess: npt.NDArray[np.int64]) -> dict[str, Any]:
    """macro-F1, and of every person."""
    y = truth.y.numpy()
    people = sorted(set(truth.subject.tolist()))
    own = {s: macro_f1(y[truth.subject == s], guess[truth.subject == s]) for s in people}
    return {"macro_f1": macro_f1(y, guess), "per_subject": own}


def _logits(net: Reader, codes: Tensor, attributes: Tensor, reading: Reading, left_out: float = 0.0) -> Tensor:
    """(B, C), while a share `left_out` of the pieces counts nothing: some of each window, or places of every length for
    the whole batch."""
    kind = torch.float32 if codes.is_floating_point() else torch.int64
    counts, kept, by_batch = net.layout.counts, 1 - left_out, reading.by_batch and left_out > 0
    weights, shown = torch.ones(1, sum(counts)), torch.tensor(reading.attributes)
    if left_out and not by_batch:
        weights = (torch.rand(codes.shape[:2]) >= left_out).float() / kept
    total, start = net.bias, 0
    for i, count in enumerate(counts):
        places = torch.arange(start, start + count)
        if by_batch:
            places = places[torch.randperm(count)[: max(1, round(kept * count))]]
        counted, _ = net.weigh(i, codes[:, places].to(kind), shown * attributes[:, places].float())
        total = total + (counted * weights[:, places, None]).sum(1) * (count / len(places))
        start += count
    return total
