"""Changes of a window that leave its label as it is: the watch sits turned, or on the other arm, or measures a little
too much, or things are done slower; and mixtures of two windows, whose label is both.

Axes are turned together (a rotation of the device), so gravity turns with them, as it does in truth.
"""

import math
from typing import Final

import torch
from torch import Tensor

from mmvq_train.config import Axis

TURNED_DEG, GAIN, STRETCHED = 30.0, 0.2, 0.3  # of mixtures (docs/lab-log.md)
OTHER_ARM: Final = 0.5  # share of mixtures' windows


def augment(x: Tensor, rotation_deg: float, gain: float, generator: torch.Generator) -> Tensor:
    """(B, W, 3) in g -> the same, each window turned about a random axis by an angle of that deviation and scaled.

    Without rotation x may have any number of channels.
    """
    batch = x.shape[0]
    factor = 1 + gain * torch.randn(batch, 1, 1, generator=generator).to(x.device)
    if rotation_deg == 0:
        return x * factor
    axis = torch.nn.functional.normalize(torch.randn(batch, 3, generator=generator), dim=-1)
    angle = torch.randn(batch, generator=generator) * math.radians(rotation_deg)
    return x @ rotation(axis, angle).to(x.device) * factor


def stretched(x: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """(B, W, 3) -> the same, each window slower or faster by a factor of up to e^most, even in its logarithm. A slower
    one shows a part of what it was, from a random place; a faster one comes back from its end."""
    batch, length, _ = x.shape
    speed = torch.empty(batch, 1).uniform_(-most, most, generator=generator).exp()
    spare = (length - 1) * (1 - speed).clamp_min(0)
    place = torch.arange(length) * speed + spare * torch.rand(batch, 1, generator=generator)
    place = (length - 1) - (place - (length - 1)).abs()
    left = place.long().clamp(0, length - 2)
    right = (place - left)[..., None].to(x)
    before, after = (x.gather(1, (left + i)[..., None].to(x.device).expand_as(x)) for i in (0, 1))
    return before * (1 - right) + after * right


def mixed(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(B, W, 3) -> each window mixed with another one; its own share (B,), and the other one's row (B,): mixup (Zhang
    et al. 2018, arXiv 1710.09412) with shares even in 0..1."""
    other, share = torch.randperm(len(x), generator=generator), torch.rand(len(x), generator=generator)
    own = share[:, None, None].to(x)
    return own * x + (1 - own) * x[other], share, other


def mirrored(x: Tensor, forearm: Axis) -> Tensor:
    """(B, W, 3) -> as worn on the other arm, where the same movement is its mirror image: with the band as before, the
    device's axis along the forearm points the other way along it, and the other two axes measure what they did."""
    return torch.where(torch.arange(3, device=x.device) == "xyz".index(forearm), -x, x)


def mixtures(x: Tensor, generator: torch.Generator, forearm: Axis | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(B, W, 3) -> `mixed` of windows that are stretched, turned and scaled, and half of them mirrored if the forearm's
    axis is given."""
    if forearm is not None:
        other = torch.rand(len(x), 1, 1, generator=generator).to(x.device) < OTHER_ARM
        x = torch.where(other, mirrored(x, forearm), x)
    return mixed(augment(stretched(x, STRETCHED, generator), TURNED_DEG, GAIN, generator), generator)


def rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) about unit axes (B, 3) by angles (B,) in radians (Rodrigues' formula)."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)
    sin, cos = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * cross @ cross
