"""Loss weights as shares of the update instead of as factors that must be tuned again for every data set.

After the balancer of EnCodec (Défossez et al. 2022, arXiv 2210.13438, section 3.4): each loss's gradient at the place
where all of them meet is scaled to the length that its share says. And a floor under one of them: a loss that must not
get worse than it was has the update to itself for as long as it is.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

MEMORY: Final = 0.95  # of the watched loss's moving average: about twenty batches


class Balancer(nn.Module):
    """Shares per loss; keeps moving averages of the gradients' lengths (buffers, so that a resumed run goes on)."""

    length: Tensor

    def __init__(self, shares: Mapping[str, float], decay: float = 0.99) -> None:
        super().__init__()
        self.names = list(shares)
        self.decay = decay
        self.shares = dict(shares)
        self.register_buffer("length", torch.zeros(len(self.names)))

    def gradient(self, losses: Mapping[str, Tensor], meeting: Tensor) -> Tensor:
        """The balanced gradient of the losses given, at `meeting`, of its shape and of about unit length."""
        weight = {name: self.shares[name] for name in self.names if name in losses}
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
    """Keeps a loss at most `allowed` times what it was: tells when it is above, so that nothing else is learnt then.

    The switching subgradient of a constrained minimum (Polyak 1967). Values are buffers, so that a resumed run goes on.
    """

    average: Tensor
    reference: Tensor

    def __init__(self, allowed: float) -> None:
        super().__init__()
        self.allowed = allowed
        for name in ("average", "reference"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def broken(self, loss: Tensor, free: bool) -> bool:
        """Take note of a step's loss; whether the constraint is violated. `free`: nothing competes with it yet, so this
        is what it can be, and the reference."""
        loss = loss.detach()
        self.average.copy_(torch.where(self.average > 0, MEMORY * self.average + (1 - MEMORY) * loss, loss))
        if free:
            self.reference.copy_(self.average)
        # Without a time alone there is no reference, and nothing to be above.
        return not free and bool(self.reference > 0) and bool(self.average > self.allowed * self.reference)
