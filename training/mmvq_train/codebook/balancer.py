"""Loss weights as shares of the update instead of as factors that must be tuned again for every data set.

After the balancer of EnCodec (Défossez et al. 2022, arXiv 2210.13438, section 3.4): each loss's gradient at the place
where all of them meet is scaled to the length that its share says.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Balancer(nn.Module):
    """Shares per loss; keeps moving averages of the gradients' lengths (buffers, so that a resumed run goes on)."""

    length: Tensor

    def __init__(self, shares: Mapping[str, float], decay: float = 0.99) -> None:
        super().__init__()
        self.names = list(shares)
        self.decay = decay
        total = sum(shares.values())
        self.shares = {name: share / total for name, share in shares.items()}
        self.register_buffer("length", torch.zeros(len(self.names)))

    def gradient(self, losses: Mapping[str, Tensor], meeting: Tensor) -> Tensor:
        """The balanced gradient at `meeting`, of its shape and of about unit length."""
        total = torch.zeros_like(meeting)
        for i, name in enumerate(self.names):
            (grad,) = torch.autograd.grad(losses[name], meeting, retain_graph=True)
            length = grad.norm()
            old = self.length[i]
            self.length[i] = torch.where(old > 0, self.decay * old + (1 - self.decay) * length, length)
            total += self.shares[name] * grad / self.length[i].clamp_min(1e-12)
        return total
