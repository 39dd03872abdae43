"""Tokens of multi-channel series, and the two kinds of features that VQShape is judged by (SYSTEMS 1)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmvq_train.vqshape.model import VQShape, token_values
from mmvq_train.vqshape.series import interpolate, level_of

BATCH = 256  # series at once: what a small GPU and a CPU's cache both bear


class Tokens(NamedTuple):
    """Tokens of series (N, channels), each channel's in order of t; the net's own order means nothing."""

    codes: npt.NDArray[np.int64]
    """(N, channels, T)."""
    values: npt.NDArray[np.float32]
    """[z_q, t, l, μ, σ], (N, channels, T, code_dim + 4): t and l as shares of the series, μ and σ normalised."""
    mean: npt.NDArray[np.float32]
    """Of each channel, in the signal's units, (N, channels): what the normalisation took out."""
    deviation: npt.NDArray[np.float32]


@torch.no_grad()
def tokenize(model: VQShape, x: Tensor) -> Tokens:
    """Tokens of x (N, channels, samples), any length."""
    codes, values, means, deviations = [], [], [], []
    for part in batches(model, x.flatten(0, 1)):
        level = level_of(part)
        attributes, quantised = model.tokens((part - level.mean) / level.deviation)
        order = attributes.t.argsort(-1)
        codes.append(quantised.codes.gather(1, order).cpu())
        token = token_values(attributes, quantised)
        values.append(token.gather(1, order[..., None].expand_as(token)).cpu())
        means.append(level.mean.cpu())
        deviations.append(level.deviation.cpu())
    shape = x.shape[:2]
    return Tokens(
        torch.cat(codes).unflatten(0, shape).numpy(),
        torch.cat(values).unflatten(0, shape).numpy(),
        torch.cat(means).view(shape).numpy(),
        torch.cat(deviations).view(shape).numpy(),
    )


def token_features(model: VQShape, x: Tensor) -> npt.NDArray[np.float32]:
    """All tokens of all channels in a row: (N, channels · T · (code_dim + 4)). `linear_probe` standardises them."""
    return from_tokens(tokenize(model, x))


def histogram_features(model: VQShape, x: Tensor) -> npt.NDArray[np.float32]:
    """How often each code occurs in each channel: (N, channels · K)."""
    return from_codes(tokenize(model, x), model.config.codes)


def from_tokens(tokens: Tokens) -> npt.NDArray[np.float32]:
    """Token features of tokens that are there already."""
    return tokens.values.reshape(len(tokens.values), -1)


def from_codes(tokens: Tokens, size: int) -> npt.NDArray[np.float32]:
    """Histogram features of tokens that are there already."""
    counts = np.zeros((*tokens.codes.shape[:2], size), dtype=np.float32)
    n, channels, _ = np.indices(tokens.codes.shape)
    np.add.at(counts, (n, channels, tokens.codes), 1)
    return counts.reshape(len(counts), -1)


def batches(model: VQShape, series: Tensor) -> Iterator[Tensor]:
    """Series (N, n) as the model takes them, in parts, on its device; the model in evaluation mode."""
    model.eval()
    device = model.book.codes.device
    for part in series.split(BATCH):
        yield interpolate(part.to(device), model.config.samples)
