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
from mmvq_train.deletion import deletion, short_spans
from mmvq_train.fitting import in_batches
from mmvq_train.pieces import Pieces
from mmvq_train.student.model import Student, StudentOutput, sub_action_probabilities

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
    label = judged.logits.argmax(-1)
    of_label = judged.contributions.gather(2, label[:, None, None].expand(-1, judged.contributions.shape[1], 1))[..., 0]
    spans, counted = short_spans(student.layout.spans_s(), of_label)
    return {
        "additivity": float((total - judged.logits.double()).abs().max()),
        "sub_actions_in_set": float(inside.mean()),
        "sub_actions_in_set_chance": float(allowed.float().mean()),
        **deletion(
            lambda x: torch.cat([out.logits for out in in_batches(student, x)]), test.x, label, spans, counted,
            student.layout.rate_hz, seed,
        ),
    }


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
