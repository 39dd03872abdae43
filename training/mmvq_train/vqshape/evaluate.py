"""What a pre-trained model is worth on a data set: one linear layer on its features, and how well it rebuilds."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score
from torch import Tensor

from mmvq_train.codebook.quantiser import perplexity
from mmvq_train.vqshape.features import batches, from_codes, from_tokens, tokenize
from mmvq_train.vqshape.losses import rebuilding
from mmvq_train.vqshape.model import VQShape
from mmvq_train.vqshape.probe import linear_probe
from mmvq_train.vqshape.series import crop
from mmvq_train.vqshape.sources import Source

KINDS: Final = ("token", "histogram")  # of features


def evaluate(model: VQShape, source: Source) -> dict[str, Any]:
    """Accuracy and macro-F1 of both kinds of features, code use and rebuilding; all on the test part."""
    train, test = tokenize(model, source.train.x), tokenize(model, source.test.x)
    size = model.config.codes
    pairs = (from_tokens(train), from_tokens(test)), (from_codes(train, size), from_codes(test, size))
    figures: dict[str, Any] = {
        "name": source.name,
        "classes": len(source.labels),
        "train": len(source.train.y),
        "test": len(source.test.y),
    }
    for kind, (seen, unseen) in zip(KINDS, pairs, strict=True):
        figures[kind] = scores(source.test.y, linear_probe(seen, source.train.y, unseen, source.train.subject))
    codes = torch.from_numpy(test.codes)
    figures["codes"] = {"used": len(codes.unique()), "size": size, "perplexity": perplexity(codes, size)}
    return figures | {"rebuilding": rebuilding_errors(model, source.test.x)}


def scores(truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, and macro-F1 over the labels that occur."""
    return {
        "accuracy": float((truth == guess).mean()),
        "macro_f1": float(f1_score(truth, guess, average="macro", labels=np.unique(truth), zero_division=0)),
    }


@torch.no_grad()
def rebuilding_errors(model: VQShape, x: Tensor) -> dict[str, float]:
    """Mean squared errors of the whole series and of the shapes, in each series' variance; 1: as good as its mean.

    x (N, channels, n).
    """
    whole, shapes, count = 0.0, 0.0, 0
    for part in batches(model, x.flatten(0, 1)):
        output = model(part)
        attributes, unit = output.attributes, output.level.deviation
        pieces = crop(part, attributes.t, attributes.length, model.config.points, model.config.smoothing)
        whole += len(part) * float(rebuilding(output.series, part, unit))
        shapes += len(part) * float(rebuilding(output.shapes, pieces, unit[..., None]))
        count += len(part)
    return {"series_mse": whole / count, "shape_mse": shapes / count}
