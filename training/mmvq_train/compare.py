"""Student and teachers beside each other: whom they take for whom, which windows they find alike, what noise costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mmvq_train.data import WindowSet
from mmvq_train.evaluate import accuracy
from mmvq_train.teachers import Teacher, knowledge_of

DISTURBED_WINDOWS: Final = 300
COMPARED_WINDOWS: Final = 72  # a map of so many rows is still a picture


@dataclass(frozen=True)
class Compared:
    """One judge. accuracy: over all test windows, as `evaluate.accuracy` has it. likeness: cosines (n, n) of its
    features, average off, of windows with labels `of` (n,), the same for all judges. disturbed: macro-F1 by disturbance
    and level, over at most DISTURBED_WINDOWS."""

    accuracy: dict[str, Any]
    of: Tensor
    likeness: npt.NDArray[np.float32]
    disturbed: dict[str, dict[float, float]]


def noisy(x: Tensor, deviation_g: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise on every sample."""
    return x + deviation_g * torch.randn(x.shape, generator=generator)


def shifted(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The window turned in time by that share of it: what leaves at its end comes in at its beginning."""
    return x.roll(round(share * x.shape[1]), dims=1)


def with_losses(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Single samples lost at random, straight lines in their place, as from a source that lost them (DESIGN 3.1)."""
    count, samples, _ = x.shape
    kept = torch.rand(count, samples, generator=generator) >= share
    kept[:, [0, -1]] = True
    place = torch.arange(samples).expand(count, -1)
    before = torch.where(kept, place, 0).cummax(1).values
    after = torch.where(kept, place, samples - 1).flip(1).cummin(1).values.flip(1)
    weight = ((place - before) / (after - before).clamp_min(1))[..., None]
    one, other = (x.gather(1, at[..., None].expand(-1, -1, 3)) for at in (before, after))
    return one + weight * (other - one)


def scaled(x: Tensor, factor: float, generator: torch.Generator) -> Tensor:
    """As from a device whose unit is off."""
    return x * factor


# name -> (what is done, the level that changes nothing and others, in what it is given)
DISTURBANCES: Final[dict[str, tuple[Callable[[Tensor, float, torch.Generator], Tensor], tuple[float, ...], str]]] = {
    "Gaussian noise": (noisy, (0.0, 0.05, 0.1, 0.2, 0.4), "standard deviation, g"),
    "time shift": (shifted, (0.0, 0.05, 0.1, 0.25, 0.5), "share of the window"),
    "dropped samples": (with_losses, (0.0, 0.05, 0.1, 0.2, 0.4), "share lost"),
    "scale": (scaled, (0.7, 0.85, 1.0, 1.15, 1.3), "factor"),
}


def compare(
    judges: Mapping[str, Teacher], data: WindowSet, classes: int, seed: int, cache: Path | None = None
) -> dict[str, Compared]:
    """Every judge over windows that none of them was trained on."""
    some = data.some(np.unique(np.linspace(0, len(data) - 1, DISTURBED_WINDOWS).astype(int)))
    changed = {
        name: {level: how(some.x, level, torch.Generator().manual_seed(seed)) for level in levels}
        for name, (how, levels, _) in DISTURBANCES.items()
    }
    rows = grouped(data.y, classes)
    found = {}
    for name, judge in judges.items():
        said = knowledge_of(judge, [data.x], cache)
        features = said.tokens[0, rows].float().flatten(1)
        alike = F.normalize(features - features.mean(0), dim=1)
        found[name] = Compared(
            accuracy(said.logits[0].argmax(-1), data, classes),
            data.y[rows],
            (alike @ alike.T).numpy(),
            {
                kind: {level: _macro_f1(judge, x, some, classes) for level, x in levels.items()}
                for kind, levels in changed.items()
            },
        )
    return found


def grouped(y: Tensor, classes: int) -> Tensor:
    """Rows of some windows of every label that occurs, evenly spread, label after label."""
    each = max(2, COMPARED_WINDOWS // classes)
    parts = []
    for label in range(classes):
        own = (y == label).nonzero()[:, 0]
        parts.append(own[torch.linspace(0, len(own) - 1, min(each, len(own))).long()])
    return torch.cat(parts)


def _macro_f1(judge: Teacher, x: Tensor, data: WindowSet, classes: int) -> float:
    said = knowledge_of(judge, [x]).logits[0].argmax(-1)
    return float(accuracy(said, data, classes)["macro_f1"])
