"""Changes of a window that leave its label as it is: the watch sits turned, or measures a little too much.

Axes are turned together (a rotation of the device), so gravity turns with them, as it does in truth.
"""

import math

import torch
from torch import Tensor


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


def rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) about unit axes (B, 3) by angles (B,) in radians (Rodrigues' formula)."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)
    sin, cos = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * cross @ cross
