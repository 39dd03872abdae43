"""The same people's windows as they would be had otherwise."""

import math
from typing import Final

import torch
from folds import Floats
from torch import Tensor

from mmvq_train.compare import noisy, scaled, with_losses
from mmvq_train.config import Axis
from mmvq_train.data import mirrored
from mmvq_train.data.augment import rotation

FOREARM: Final[dict[str, Axis]] = {"wisdm_watch": "x", "selfback_wrist": "y"}  # where gravity lies while people walk


def disturbed(x: Tensor, forearm: Axis) -> dict[str, list[Floats]]:
    """Windows (N, W, 3) as others would be had of the same people, in one copy or several: the watch turned about the
    forearm, to both sides; worn on the other arm; and what compare.py tries in reports."""
    generator, axis = torch.Generator().manual_seed(0), torch.eye(3)[["xyz".index(forearm)]]
    found = {
        f"turned {degrees}°": [
            x @ rotation(axis, torch.tensor([sign * math.radians(degrees)]))[0] for sign in (1, -1)
        ]
        for degrees in (15, 30)
    }
    found["mirrored"] = [mirrored(x, forearm)]
    found["noise of .1 g"] = [noisy(x, 0.1, generator)]
    found["a fifth of samples lost"] = [with_losses(x, 0.2, generator)]
    found["unit off by 15 %"] = [scaled(x, factor, generator) for factor in (0.85, 1.15)]
    return {name: [copy.numpy() for copy in copies] for name, copies in found.items()}
