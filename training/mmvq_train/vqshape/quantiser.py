"""VQShape's codebook: codes learnt by gradient, nearest by Euclidean distance."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Quantised(NamedTuple):
    """What quantising z (B, T, d) gives."""

    z: Tensor
    """z + sg(e_j − z), (B, T, d): the code forwards, the gradient of z backwards."""
    chosen: Tensor
    """e_j (B, T, d), by which the codes learn."""
    codes: Tensor
    """j = argmin ‖z − e_j‖², (B, T) int64."""
    distance: Tensor
    """Squared distances to all codes, (B, T, K)."""


class GradientCodebook(nn.Module):
    """K codes of size d, as parameters."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        # As published. Codes this close together part only as the entropy term drives them.
        self.codes = nn.Parameter(torch.empty(size, dim).uniform_(-1 / size, 1 / size))

    def forward(self, z: Tensor) -> Quantised:
        """Quantise z (B, T, d), float32: at τ = .01 bfloat16 distances would be noise."""
        codes = self.codes
        distance = z.square().sum(-1, keepdim=True) - 2 * (z @ codes.T) + codes.square().sum(-1)
        index = distance.argmin(-1)
        chosen = codes[index]
        return Quantised(z + (chosen - z).detach(), chosen, index, distance)
