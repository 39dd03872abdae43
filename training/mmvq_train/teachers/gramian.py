"""Gramian angular fields: a signal as the angles between its samples, what the third teacher sees (SYSTEMS 3).

Every pair of moments gets a pixel, so a 2-D net finds in one place what lies far apart in time.
"""

import torch
from torch import Tensor


def gramian_fields(x: Tensor) -> Tensor:
    """x (..., n) in -1..1 -> (..., 2, n, n): the summation field cos(φ_i + φ_j) and the difference field
    sin(φ_i − φ_j), φ = arccos x (Wang and Oates, AAAI workshop 2015, arXiv 1506.00327, equations 3 to 6).

    By the addition theorems there is no angle to be computed: sin φ = √(1 − x²), as φ lies in 0..π.
    """
    sine = (1 - x.square()).clamp_min(0).sqrt()
    cosine_i, cosine_j = x[..., :, None], x[..., None, :]
    sine_i, sine_j = sine[..., :, None], sine[..., None, :]
    summation = cosine_i * cosine_j - sine_i * sine_j
    return torch.stack([summation, sine_i * cosine_j - cosine_i * sine_j], dim=-3)
