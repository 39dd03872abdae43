"""Input deletion (DESIGN 5): does it cost more to take away what an explanation names than to take away anything else?

For any judge that gives logits, and any explanation that says what pieces counted: additive ones, gradients, occlusion.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

WINDOWS: Final = 400
PIECES: Final = 3
LONGEST_S: Final = 1.0

Floats = npt.NDArray[np.floating]


def short_spans(spans: Floats, counted: Tensor) -> tuple[Floats, Tensor]:
    """Of tokens' spans (T, 2: start and length in seconds) those of at most a second, each once (P, 2); and what all
    tokens of a span counted together (N, P), of what tokens counted (N, T): views look at the same pieces."""
    short = spans[:, 1] <= LONGEST_S
    own, place = np.unique(spans[short], axis=0, return_inverse=True)
    together = counted.new_zeros(len(counted), len(own))
    return own, together.index_add_(1, torch.from_numpy(place.reshape(-1)), counted[:, torch.from_numpy(short)])


def deletion(
    judge: Callable[[Tensor], Tensor], x: Tensor, label: Tensor, spans: Floats, counted: Tensor, rate_hz: float,
    seed: int,
) -> dict[str, float]:
    """Replace the three pieces that counted most by the window's mean, and three random ones as long.

    judge: windows (N, W, 3) -> logits (N, C); label (N,): what is explained; spans (P, 2) in seconds; counted (N, P).
    Mean drops in the label's log-odds, the share of windows in which the named pieces cost more, and the correlation of
    what a piece is said to count with what taking it away costs. Nothing, if there are no more than three pieces.
    """
    if len(spans) <= PIECES:
        return {}
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(x))[:WINDOWS])
    named, random, one, claimed = [], [], [], []
    for row in rows.tolist():
        top = counted[row].topk(PIECES).indices.numpy()
        others = [rng.choice(np.flatnonzero(spans[:, 1] == spans[j, 1])) for j in top]
        probe = int(rng.integers(len(spans)))
        named.append(without(x[row], spans[top], rate_hz))
        random.append(without(x[row], spans[others], rate_hz))
        one.append(without(x[row], spans[[probe]], rate_hz))
        claimed.append(float(counted[row, probe]))
    whole, *less = (_log_odds(judge(some), label[rows]) for some in (x[rows], *map(torch.stack, (named, random, one))))
    drops = [whole - after for after in less]
    return {
        "deletion_drop_named": float(drops[0].mean()),
        "deletion_drop_random": float(drops[1].mean()),
        "deletion_named_wins": float((drops[0] > drops[1]).mean()),
        "deletion_correlation": float(np.corrcoef(claimed, drops[2])[0, 1]),
    }


def _log_odds(logits: Tensor, label: Tensor) -> Floats:
    own = logits.gather(1, label[:, None])[:, 0]
    rest = logits.scatter(1, label[:, None], float("-inf")).logsumexp(-1)
    return (own - rest).double().numpy()


def without(x: Tensor, spans: Floats, rate_hz: float) -> Tensor:
    """A window (W, 3) with its mean in the place of some spans (n, 2)."""
    out = x.clone()
    for t, length in spans:
        begin = round(float(t) * rate_hz)
        out[begin : begin + round(float(length) * rate_hz)] = x.mean(0)
    return out
