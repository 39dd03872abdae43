"""Changes of a window that leave its label as it is: the watch sits turned, or on the other arm, or measures a little
too much or noisily, or a moment is missing; and mixtures of two windows, whose label is both. How fast things are done
is left as it is: some labels are told by nothing else.

Axes are turned together (a rotation of the device), so gravity turns with them, as it does in truth.
"""

import math
from typing import Final

import torch
from torch import Tensor

from mmvq_train.config import Axis

TURNED_DEG, GAIN = 30.0, 0.05  # of mixtures (docs/lab-log.md)
SLID_DEG: Final = {"copies": 30.0, "mixtures": 45.0}  # round the forearm, where its axis is known
OTHER_ARM: Final = 0.5  # share of mixtures' windows
FLATTENED: Final = 0.5  # share of windows
NOISED, QUIETEST = 0.5, 0.03  # share of windows; least noise as a share of most
SPANS, SPAN = 3, (0.05, 0.1)  # in each of those; their lengths, as shares of the window


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


def flattened(x: Tensor, generator: torch.Generator) -> Tensor:
    """(B, W, 3) -> the same, in half of the windows a few spans replaced by the window's mean: no label may hang on one
    moment (cutout, DeVries & Taylor 2017, arXiv 1708.04552), and what a reason counts is what taking it away costs."""
    batch, length, _ = x.shape
    place, mean = torch.arange(length), x.mean(1, keepdim=True)
    some, flat = torch.rand(batch, 1, generator=generator) < FLATTENED, torch.zeros(batch, length, dtype=torch.bool)
    for _ in range(SPANS):
        size = length * torch.empty(batch, 1).uniform_(*SPAN, generator=generator)
        begin = torch.rand(batch, 1, generator=generator) * (length + size) - size  # may stick out
        flat |= some & (place >= begin) & (place < begin + size)
    return torch.where(flat[..., None].to(x.device), mean, x)


def noised(x: Tensor, most_g: float, generator: torch.Generator) -> Tensor:
    """(B, W, 3) in g -> the same, in half of the windows Gaussian noise on every sample, as of a worse sensor: its
    deviation up to most_g, as often small as large (even in its logarithm). x itself where most_g is 0."""
    if most_g == 0:
        return x
    some, deviation = torch.rand(2, len(x), 1, 1, generator=generator)
    noise = torch.randn(x.shape, generator=generator) * most_g * QUIETEST**deviation
    return x + torch.where(some < NOISED, noise, 0).to(x.device)


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


def slid(x: Tensor, forearm: Axis, deviation_deg: float, generator: torch.Generator) -> Tensor:
    """(B, W, 3) -> each window as of a watch that has slid round the forearm, by an angle of that deviation."""
    axis = torch.eye(3)[["xyz".index(forearm)]].expand(len(x), 3)
    angle = torch.randn(len(x), generator=generator) * math.radians(deviation_deg)
    return x @ rotation(axis, angle).to(x.device)


def mixtures(
    x: Tensor, generator: torch.Generator, forearm: Axis | None = None, noise_g: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, W, 3) -> `mixed` of windows that are turned and scaled, and if the forearm's axis is given, half of them
    mirrored and all `slid`; `flattened`, and `noised` by at most noise_g."""
    if forearm is not None:
        other = torch.rand(len(x), 1, 1, generator=generator).to(x.device) < OTHER_ARM
        x = slid(torch.where(other, mirrored(x, forearm), x), forearm, SLID_DEG["mixtures"], generator)
    found, share, row = mixed(augment(x, TURNED_DEG, GAIN, generator), generator)
    return noised(flattened(found, generator), noise_g, generator), share, row


def rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) about unit axes (B, 3) by angles (B,) in radians (Rodrigues' formula)."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)
    sin, cos = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * cross @ cross
