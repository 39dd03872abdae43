"""How much of a label do its sub-actions carry? A probe that must guess the text of an activity it never saw.

    the activity's sub-actions, one after another -> Linear, ReLU, Linear -> the embedding of the label's own text

is trained on all activities but one, and its output for that one is compared with all C label texts (SYSTEMS 2, with
the held-out activity that a claim about language needs). Beside it stand the same with labels shuffled (each set of
sub-actions is taken for another activity's) and with a random vector for each text (which phrases are shared is kept,
what they mean is not). What real text reaches beyond both is what language carries.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

HIDDEN: Final = (64, 256, 1024, 2048)
REPEATS: Final = 10  # each with other first weights, and the controls with another shuffle or draw
STEPS: Final = 100  # a net of any width has settled; twice as many give the same
LEARNING_RATE: Final = 1e-3
DECAY: Final = 1e-2  # AdamW's, so that a wide net on few activities stays small

Control = Literal["real", "shuffled", "random"]
CONTROLS: Final[tuple[Control, ...]] = ("real", "shuffled", "random")
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ProbeResult:
    """Means over the left-out activities and the repeats.

    cosine: of output and the true text's embedding, both less the mean of the others' (0: no better than that mean);
    rank: of the true text among all C by that cosine, 1 the best, (C + 1) / 2 by chance; p: share of the repeats whose
    cosine reaches the real text's mean, counting it among them (1 for the real text itself).
    """

    control: Control
    hidden: int
    cosine: float
    rank: float
    p: float


def probe(
    sub_actions: list[Rows], labels: Rows, hidden: int, seed: int = 0, repeats: int = REPEATS
) -> list[ProbeResult]:
    """The probe of one width, and its controls.

    sub_actions: for each of the C activities (3 at least) the rows (n_y, D) of its sub-actions in their order;
    labels: (C, D).
    """
    runs: dict[Control, list[tuple[float, float]]] = {control: [] for control in CONTROLS}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for nets this small, threads wait for one another more than they work
    try:
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, hidden, repeat])
            for control in CONTROLS:
                x = torch.from_numpy(_controlled(sub_actions, control, rng))
                runs[control].append(_left_out(x, torch.from_numpy(labels), hidden, seed + repeat))
    finally:
        torch.set_num_threads(threads)
    real = float(np.mean([cosine for cosine, _ in runs["real"]]))
    out = []
    for control, found in runs.items():
        cosine, rank = (float(v) for v in np.mean(found, axis=0))
        reached = sum(value >= real for value, _ in found)
        p = 1.0 if control == "real" else (1 + reached) / (1 + repeats)
        out.append(ProbeResult(control, hidden, cosine, rank, p))
    return out


def _controlled(sub_actions: list[Rows], control: Control, rng: np.random.Generator) -> Rows:
    """(C, F): each activity's rows, concatenated; fewer than the most are repeated from the first on."""
    longest = max(map(len, sub_actions))
    x = np.stack([np.resize(rows, (longest, rows.shape[1])) for rows in sub_actions])
    if control == "shuffled":
        x = x[_derangement(len(x), rng)]
    elif control == "random":
        texts, number = np.unique(x.reshape(-1, x.shape[2]), axis=0, return_inverse=True)
        drawn = rng.standard_normal(texts.shape).astype(np.float32)
        x = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True))[number.reshape(x.shape[:2])]
    return np.asarray(x.reshape(len(x), -1), dtype=np.float32)


def _derangement(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A permutation that leaves nothing in its place: a random cycle."""
    order = rng.permutation(count)
    out = np.empty(count, dtype=np.int64)
    out[order] = np.roll(order, 1)
    return out


def _left_out(x: Tensor, labels: Tensor, hidden: int, seed: int) -> tuple[float, float]:
    """(cosine, rank), means over the C activities, each predicted by a net trained on the others; all nets at once."""
    count = len(x)
    generator = torch.Generator().manual_seed(seed)
    others = torch.stack([torch.cat([torch.arange(i), torch.arange(i + 1, count)]) for i in range(count)])
    # Seen from the mean of its training activities, each net's inputs and targets lie in a space of C dimensions:
    # turned into it, they train a net alike (its first weights are drawn alike in every direction) in a hundredth of
    # the time.
    x_mean, y_mean = x[others].mean(1, keepdim=True), labels[others].mean(1, keepdim=True)
    inputs, targets = _turned(x - x_mean), _turned(labels - y_mean)
    scale = inputs.gather(1, others[..., None].expand(-1, -1, inputs.shape[2])).square().mean((1, 2), keepdim=True)
    inputs = inputs / scale.sqrt().clamp_min(1e-9)
    width = inputs.shape[2]
    weights = [
        torch.randn(count, width, hidden, generator=generator) / width**0.5,
        torch.zeros(count, 1, hidden),
        torch.randn(count, hidden, targets.shape[2], generator=generator) / hidden**0.5 * 0.1,
    ]
    weights = [w.requires_grad_() for w in weights]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=DECAY, fused=True)
    known_x = inputs.gather(1, others[..., None].expand(-1, -1, width))
    known_y = targets.gather(1, others[..., None].expand(-1, -1, targets.shape[2]))

    def output(x: Tensor) -> Tensor:
        return (x @ weights[0] + weights[1]).relu() @ weights[2]

    for _ in range(STEPS):
        optimiser.zero_grad()
        (output(known_x) - known_y).square().sum((1, 2)).sum().backward()
        optimiser.step()
    with torch.no_grad():
        own = torch.arange(count)
        guess = output(inputs[own, own][:, None])
        cosine = torch.cosine_similarity(guess, targets, dim=-1)  # nets × labels
        true = cosine[own, own]
        rank = 1 + (cosine > true[:, None]).sum(1).float()
    return float(true.mean()), float(rank.mean())


def _turned(rows: Tensor) -> Tensor:
    """(nets, C, F) -> (nets, C, at most C): the same points in coordinates of the space that they span."""
    u, s, _ = torch.linalg.svd(rows, full_matrices=False)
    return u * s[:, None]
