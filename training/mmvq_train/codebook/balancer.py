"""Loss weights as shares of the update instead of as factors that must be tuned again for every data set.

After the balancer of EnCodec (Défossez et al. 2022, arXiv 2210.13438, section 3.4): each loss's gradient at the place
where all of them meet is scaled to the length that its share says. And a floor under one of them: a loss that must not
get worse than it was gets a larger share for as long as it does.
"""

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

STEP: Final = 0.5  # of the pressure's logarithm, at a loss of twice what is allowed
MOST: Final = 1e3  # times the share: nothing else is left of the update then
MEMORY: Final = 0.98  # of the loss's moving average: about fifty batches


class Balancer(nn.Module):
    """Shares per loss; keeps moving averages of the gradients' lengths (buffers, so that a resumed run goes on)."""

    length: Tensor

    def __init__(self, shares: Mapping[str, float], decay: float = 0.99) -> None:
        super().__init__()
        self.names = list(shares)
        self.decay = decay
        self.shares = dict(shares)
        self.register_buffer("length", torch.zeros(len(self.names)))

    def gradient(
        self, losses: Mapping[str, Tensor], meeting: Tensor, pressure: Mapping[str, float] | None = None
    ) -> Tensor:
        """The balanced gradient of the losses given, at `meeting`, of its shape and of about unit length.

        pressure: factors on shares, for this step.
        """
        weight = {name: self.shares[name] * (pressure or {}).get(name, 1.0) for name in self.names if name in losses}
        whole = sum(weight.values())
        total = torch.zeros_like(meeting)
        for i, name in enumerate(self.names):
            if name not in losses or weight[name] == 0:
                continue
            (grad,) = torch.autograd.grad(losses[name], meeting, retain_graph=True)
            length = grad.norm()
            old = self.length[i]
            self.length[i] = torch.where(old > 0, self.decay * old + (1 - self.decay) * length, length)
            total += weight[name] / whole * grad / self.length[i].clamp_min(1e-12)
        return total


class Floor(nn.Module):
    """Keeps a loss at most `allowed` times what it was: the pressure on it grows while it is above, and lets go below.

    A multiplier of a constraint, moved by its violation (dual ascent), in steps of its logarithm so that it stays
    positive. Values are buffers, so that a resumed run goes on.
    """

    average: Tensor
    reference: Tensor
    pressure: Tensor

    def __init__(self, allowed: float) -> None:
        super().__init__()
        self.allowed = allowed
        for name in ("average", "reference"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("pressure", torch.ones(()))

    @torch.no_grad()
    def watch(self, loss: Tensor, free: bool) -> float:
        """Take note of a step's loss; the pressure to use. `free`: nothing competes with it yet, so this is what it can
        be, and the reference."""
        loss = loss.detach()
        self.average.copy_(torch.where(self.average > 0, MEMORY * self.average + (1 - MEMORY) * loss, loss))
        if free:
            self.reference.copy_(self.average)
        elif math.isfinite(self.allowed) and self.reference > 0:
            above = self.average / (self.allowed * self.reference) - 1
            self.pressure.mul_(torch.exp(STEP * above)).clamp_(1.0, MOST)
        return float(self.pressure)
