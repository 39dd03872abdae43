"""What tests of the student and of its training share: a layout, windows of noise, an untrained codebook."""

import numpy as np
import torch

from mmvq_train.codebook import ShapeCodebook, TextTargets
from mmvq_train.data import WindowSet
from mmvq_train.pieces import Layout

LAYOUT = Layout(20.0, 80, (0.5, 1.0, 4.0), (0.5, 0.7, 1.0))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets() -> TextTargets:
    membership = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)
    return TextTargets(noise(4, 12), membership, noise(3, 1, 12, seed=1))


def codebook(layout: Layout, text: bool = True) -> ShapeCodebook:
    """Untrained, but for codes that lie about."""
    torch.manual_seed(0)
    model = ShapeCodebook(layout, 8, 4, 3, targets() if text else None)
    for i, book in enumerate(model.books()):
        book.codes.copy_(noise(8, 4, seed=i))
        book.total.copy_(book.codes)
        book.ready.fill_(True)
    return model.eval().requires_grad_(False)


def windows(count: int = 24, samples: int = 80) -> WindowSet:
    return WindowSet(noise(count, samples, 3), torch.arange(count) % 3, np.array(["a"] * count))
