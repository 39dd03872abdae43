"""What a student is worth, in accuracy and in explanation; every figure on people whom it never saw.

Explanation figures (DESIGN 5): additivity, shape error against k-means, deletion, share of sub-action probability
inside the label's set; codebook figures: use, perplexity, smallest distance, agreement of the student's codes with the
encoder that they follow.
"""

import copy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import confusion_matrix, f1_score
from torch import Tensor

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.losses import shape_error
from mmvq_train.codebook.quantiser import nearest, perplexity
from mmvq_train.data import WindowSet
from mmvq_train.fitting import in_batches
from mmvq_train.pieces import Pieces
from mmvq_train.student.model import Student, StudentOutput, sub_action_probabilities

DELETION_WINDOWS: Final = 400
DELETED_PIECES: Final = 3
LONGEST_DELETED_S: Final = 1.0
ALIKE: Final = 0.95  # cosine over which two shapes are one to the eye
KMEANS_WINDOWS: Final = 1500  # enough pieces (tens of thousands a length) for 64 centres


@dataclass(frozen=True)
class Judged:
    """A student's output over a WindowSet, in one piece."""

    logits: Tensor
    codes: Tensor
    attributes: Tensor
    contributions: Tensor
    sub_actions: Tensor


def judge(student: Student, data: WindowSet) -> Judged:
    """Run the student over all windows."""
    outs: list[StudentOutput] = in_batches(student, data.x)
    return Judged(
        torch.cat([o.logits for o in outs]),
        torch.cat([o.codes for o in outs]),
        torch.cat([o.attributes for o in outs]),
        torch.cat([o.contributions for o in outs]),
        torch.cat([sub_action_probabilities(o.actions) for o in outs]),
    )


def accuracy(predicted: npt.ArrayLike, data: WindowSet, classes: int) -> dict[str, Any]:
    """macro-F1 over the labels that occur, balanced accuracy, macro-F1 per subject, confusion (rows: truth)."""
    guess, truth = np.asarray(predicted), data.y.numpy()

    def macro(rows: npt.NDArray[np.bool_]) -> float:
        present = np.unique(truth[rows])
        return float(f1_score(truth[rows], guess[rows], labels=present, average="macro", zero_division=0))

    everyone = np.ones(len(truth), dtype=bool)
    confusion = confusion_matrix(truth, guess, labels=range(classes))
    recall = [confusion[i, i] / confusion[i].sum() for i in np.unique(truth)]
    return {
        "macro_f1": macro(everyone),
        "balanced_accuracy": float(np.mean(recall)),
        "per_subject": {str(s): macro(data.subject == s) for s in sorted(set(data.subject.tolist()))},
        "confusion": confusion.tolist(),
        "windows": len(truth),
    }


def codebook_figures(
    student: Student, codebook: ShapeCodebook, judged: Judged, test: WindowSet, train: WindowSet
) -> dict[str, Any]:
    """Per length: use, perplexity, smallest distance, shape error and that of k-means; and the codes' agreement."""
    layout = student.layout
    pieces, z = codebook.encode(test.x)
    drawn = codebook.code_shapes()
    encoded = torch.cat([nearest(part, codes) for part, codes in zip(z, student.codes, strict=True)], dim=1)
    lengths = []
    for i, (piece, codes) in enumerate(zip(pieces, judged.codes.split(layout.counts, dim=1), strict=True)):
        size = len(student.codes[i])
        apart = torch.pdist(student.codes[i])
        centres = _kmeans(train, codebook.pieces, i, size)
        lengths.append({
            "length_s": layout.lengths_s[i],
            "view": layout.view(i),
            "codes": size,
            "used": int(codes.unique().numel()),
            "perplexity": perplexity(codes, size),
            "smallest_distance": float(apart.min()),
            "near_duplicates": near_duplicates(drawn[i]),
            "shape_error": shape_error(piece.shape, drawn[i][codes], piece.loud),
            "shape_error_kmeans": shape_error(piece.shape, centres[nearest(piece.shape, centres)], piece.loud),
        })
    return {
        "lengths": lengths,
        "shape_error": float(np.mean([n["shape_error"] for n in lengths])),
        "shape_error_kmeans": float(np.mean([n["shape_error_kmeans"] for n in lengths])),
        "code_agreement_with_encoder": float((encoded == judged.codes).float().mean()),
    }


def near_duplicates(shapes: Tensor) -> float:
    """The share of codes whose shape (K, points) another code of the same length draws too: cosine over .95."""
    unit = torch.nn.functional.normalize(shapes, dim=-1)
    alike = (unit @ unit.T).fill_diagonal_(-1.0)
    return float((alike > ALIKE).any(1).double().mean())


def explanation_figures(
    student: Student, judged: Judged, test: WindowSet, membership: Tensor, seed: int
) -> dict[str, Any]:
    """Additivity, deletion, and whether sub-actions stay inside the label's set (by chance: `in_set_chance`)."""
    total = judged.contributions.double().sum(1) + student.bias.detach().double()
    allowed = membership[test.y]
    inside = (judged.sub_actions * allowed[:, None]).sum(-1)
    return {
        "additivity": float((total - judged.logits.double()).abs().max()),
        "sub_actions_in_set": float(inside.mean()),
        "sub_actions_in_set_chance": float(allowed.float().mean()),
        **_deletion(student, judged, test, seed),
    }


@torch.no_grad()
def _deletion(student: Student, judged: Judged, test: WindowSet, seed: int) -> dict[str, float]:
    """Replace the three short pieces that counted most by the window's mean, against three random ones as long."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(test))[:DELETION_WINDOWS])
    spans = student.layout.spans_s()
    short = np.flatnonzero(spans[:, 1] <= LONGEST_DELETED_S)
    if len(short) <= DELETED_PIECES:
        return {}
    best = judged.logits[rows].argmax(-1)
    named, random, one, claimed = [], [], [], []
    for row, label in zip(rows.tolist(), best.tolist(), strict=True):
        counts = judged.contributions[row, :, label][short]
        top = short[counts.topk(DELETED_PIECES).indices.numpy()]
        others = [rng.choice([i for i in short if spans[i, 1] == spans[j, 1]]) for j in top]
        probe = int(rng.choice(short))
        x = test.x[row]
        named.append(_without(x, spans[top], student.layout.rate_hz))
        random.append(_without(x, spans[others], student.layout.rate_hz))
        one.append(_without(x, spans[[probe]], student.layout.rate_hz))
        claimed.append(float(judged.contributions[row, probe, label]))

    def log_odds(logits: Tensor) -> npt.NDArray[np.float64]:
        own = logits.gather(1, best[:, None])[:, 0]
        rest = logits.scatter(1, best[:, None], float("-inf")).logsumexp(-1)
        return (own - rest).double().numpy()

    before = log_odds(judged.logits[rows])
    drops = [
        before - log_odds(torch.cat([o.logits for o in in_batches(student, torch.stack(x))]))
        for x in (named, random, one)
    ]
    return {
        "deletion_drop_named": float(drops[0].mean()),
        "deletion_drop_random": float(drops[1].mean()),
        "deletion_named_wins": float((drops[0] > drops[1]).mean()),
        "deletion_correlation": float(np.corrcoef(claimed, drops[2])[0, 1]),
    }


def _without(x: Tensor, spans: npt.NDArray[np.float32], rate_hz: float) -> Tensor:
    out = x.clone()
    for t, length in spans:
        begin = round(float(t) * rate_hz)
        out[begin : begin + round(float(length) * rate_hz)] = x.mean(0)
    return out


def ablation_rows(student: Student, judged: Judged, data: WindowSet, classes: int) -> list[dict[str, Any]]:
    """What the trained student loses without a part of its reasons: each length, and each kind of attribute."""
    rows = [{"without": "nothing", "macro_f1": accuracy(judged.logits.argmax(-1), data, classes)["macro_f1"]}]
    for i, part in enumerate(judged.contributions.split(student.layout.counts, dim=1)):
        left = judged.logits - part.sum(1)
        rows.append({
            "without": f"pieces of {student.layout.called(i)}",
            "macro_f1": accuracy(left.argmax(-1), data, classes)["macro_f1"],
        })
    blinded = copy.deepcopy(student)
    for table in blinded.embed:
        by_axis = table.data.view(student.layout.streams, student.size, -1)
        by_axis.copy_(by_axis.mean(1, keepdim=True).expand_as(by_axis))
    blind = torch.cat([o.logits for o in in_batches(blinded, data.x)])
    rows.append({"without": "shape codes", "macro_f1": accuracy(blind.argmax(-1), data, classes)["macro_f1"]})
    return rows


def _kmeans(train: WindowSet, pieces: Pieces, length: int, size: int) -> Tensor:
    """Centres (size, points) fitted on training people's pieces: the yardstick for the shape error."""
    rows = torch.linspace(0, len(train) - 1, min(len(train), KMEANS_WINDOWS)).long()
    piece = pieces(train.x[rows])[length]
    shapes = piece.shape[piece.loud]
    count = min(size, len(shapes))
    model = MiniBatchKMeans(count, random_state=0, n_init=1, batch_size=4096).fit(shapes.numpy())
    return torch.tensor(model.cluster_centers_, dtype=torch.float32)


def score(logits: Tensor, data: WindowSet) -> float:
    """macro-F1 of anything that gives logits."""
    return float(accuracy(logits.argmax(-1), data, logits.shape[-1])["macro_f1"])
