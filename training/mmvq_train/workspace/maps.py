"""How much each teacher counts, from how far the student's map of the slots is from the teacher's (SYSTEMS 3).

    d_m = sg MSE(KTS, KIS_m^T)
    far:  alpha_m = d_m / sum d                          near: alpha_m = (sum d - d_m) / ((M - 1) sum d)
    equal: alpha_m = 1 / M, the control

For two teachers these are the published d1 / (d1 + d2) and d2 / (d1 + d2); the sources disagree on which is right.
The maps are nearly uniform (d of .01 to .03), so a batch's alpha is mostly noise: hence the moving average and the
floor.
"""

from collections.abc import Sequence
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from mmvq_bridge.command import BadInput

DECAY: Final = 0.99  # a memory of about 100 batches: slow beside the noise of one, fast beside a training run
FLOOR: Final = 0.1  # no teacher is ever silenced: its map could not come near again

Orientation = Literal["far", "near", "equal"]


def map_distances(kts: Tensor, kis: Sequence[Tensor]) -> Tensor:
    """KTS (B, L, K) and M maps KIS_m (B, K, L) -> (M,) mean squared distances, with gradient."""
    return torch.stack([(kts - one.transpose(1, 2)).square().mean() for one in kis])


def alignment(kts: Tensor, kis: Sequence[Tensor]) -> Tensor:
    """Sum over teachers of MSE(KTS, KIS_m^T) -> scalar (Hong et al., TNNLS 2025)."""
    return map_distances(kts, kis).sum()


def coefficients(distances: Tensor, orientation: Orientation) -> Tensor:
    """Distances (M,), not negative -> alpha (M,), which adds up to 1. All distances zero: equal parts. One: 1."""
    teachers = len(distances)
    total = distances.sum()
    if teachers == 1 or total <= 0 or orientation == "equal":
        return torch.full_like(distances, 1 / teachers)
    if orientation == "far":
        return distances / total
    return (total - distances) / ((teachers - 1) * total)


class DynamicCoefficients(nn.Module):
    """KTS and the KIS maps of a batch -> alpha (M,), without gradient: averaged over batches, then raised to the floor.

    alpha = floor + (1 - M floor) * moving average, which starts at equal parts. The average is a buffer (a resumed run
    goes on with it) and moves in training mode only.
    Raises BadInput if M floors do not fit into 1.
    """

    average: Tensor

    def __init__(
        self, teachers: int, orientation: Orientation = "far", decay: float = DECAY, floor: float = FLOOR
    ) -> None:
        super().__init__()
        if teachers < 1:
            raise BadInput(f"workspace with {teachers} teachers: give at least 1")
        if orientation not in get_args(Orientation):
            raise BadInput(f"orientation of the dynamic coefficients {orientation!r}: give far, near or equal")
        if not 0 <= decay < 1:
            raise BadInput(f"decay of the dynamic coefficients {decay}: give 0 or more, below 1")
        if not 0 <= floor <= 1 / teachers:
            raise BadInput(f"floor of the dynamic coefficients {floor}: give 0 to {1 / teachers:.3g}, one share of 1")
        self.orientation: Orientation = orientation
        self.decay = decay
        self.floor = floor
        self.register_buffer("average", torch.full((teachers,), 1 / teachers))

    @torch.no_grad()
    def forward(self, kts: Tensor, kis: Sequence[Tensor]) -> Tensor:
        """KTS (B, L, K), KIS_m (B, K, L) each -> alpha (M,)."""
        if len(kis) != len(self.average):
            raise BadInput(f"workspace got {len(kis)} teacher maps: it was built for {len(self.average)}")
        if self.training:
            # In float32 whatever the maps are in: at half precision, 1 % of a step would be lost in rounding.
            now = coefficients(map_distances(kts.float(), [one.float() for one in kis]), self.orientation)
            self.average.lerp_(now, 1 - self.decay)
        return self.floor + (1 - len(self.average) * self.floor) * self.average
