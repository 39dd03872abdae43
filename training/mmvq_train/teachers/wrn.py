"""Wide residual network (Zagoruyko and Komodakis, BMVC 2016) over 1-D signals or 2-D images.

- pre-activation blocks: BatchNorm, ReLU, convolution of 3, twice; a 1-convolution as shortcut where the width changes
- three stages of (depth - 4) / 6 blocks, 16, 32 and 64 times `width` channels, the second and third halving the length
- weights for 3 inputs and 14 classes, 1-D: 16-1 61 k, 16-3 536 k, 28-1 127 k (SYSTEMS 3)

It gives the stages' features beside the logits: distillation compares those as well.
"""

from typing import Final, Literal

import torch
from torch import Tensor, nn

from mmvq_bridge.command import BadInput

STEM: Final = 16  # channels of the first convolution, whatever the width (as published)

Features = tuple[Tensor, Tensor, Tensor]


class WideResNet(nn.Module):
    """x (B, inputs, W) for dims=1, (B, inputs, H, W) for dims=2 -> logits (B, classes) and the three stages' features.

    Stage s = 0, 1, 2 gives (B, 16 * width * 2**s, length / 2**s rounded up), before the last BatchNorm. Initial weights
    come from torch's random generator. Raises BadInput if the depth is not 6n + 4 or a size is not positive.
    """

    def __init__(self, inputs: int, classes: int, depth: int = 16, width: int = 1, dims: Literal[1, 2] = 1) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise BadInput(f"WRN depth {depth}: give 10, 16, 22, 28 or another 6n + 4")
        if min(inputs, classes, width) < 1:
            raise BadInput(f"WRN with {inputs} inputs, {classes} classes, width {width}: each must be at least 1")
        self.inputs = inputs
        self.dims = dims
        channels = [STEM * width * 2**stage for stage in range(3)]
        self.stem = _convolution(inputs, STEM, dims)
        self.stages = nn.ModuleList(
            _stage(before, after, (depth - 4) // 6, stride, dims)
            for before, after, stride in zip([STEM, *channels], channels, (1, 2, 2), strict=False)
        )
        self.last = nn.Sequential(_norm(channels[-1], dims), nn.ReLU())
        self.head = nn.Linear(channels[-1], classes)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Features]:
        """Logits, and the features of stage 1, 2 and 3."""
        if x.dim() != self.dims + 2 or x.shape[1] != self.inputs:
            raise BadInput(f"WRN got {tuple(x.shape)}: give (batch, {self.inputs}, {self.dims} more dimension(s))")
        if self.dims == 2:
            x = x.contiguous(memory_format=torch.channels_last)  # the order in which a CPU convolves fastest
        first = self.stages[0](self.stem(x))
        second = self.stages[1](first)
        third = self.stages[2](second)
        return self.head(self.pooled(third)), (first, second, third)

    def pooled(self, third: Tensor) -> Tensor:
        """The last stage's features as the head reads them, (B, 64 * width)."""
        pooled: Tensor = self.last(third).flatten(2).mean(dim=2)
        return pooled


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int, dims: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(_norm(before, dims), nn.ReLU())
        self.body = nn.Sequential(
            _convolution(before, after, dims, stride=stride),
            _norm(after, dims),
            nn.ReLU(),
            _convolution(after, after, dims),
        )
        same = before == after and stride == 1
        self.shortcut = None if same else _convolution(before, after, dims, kernel=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        # As published: where the width changes the shortcut starts after the activation, else it is the input itself.
        straight: Tensor = x if self.shortcut is None else self.shortcut(entered)
        return straight + self.body(entered)


def _stage(before: int, after: int, blocks: int, stride: int, dims: int) -> nn.Sequential:
    rest = [_Block(after, after, 1, dims) for _ in range(blocks - 1)]
    return nn.Sequential(_Block(before, after, stride, dims), *rest)


def _convolution(before: int, after: int, dims: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    kind: type[nn.Conv1d] | type[nn.Conv2d] = nn.Conv1d if dims == 1 else nn.Conv2d
    layer = kind(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def _norm(channels: int, dims: int) -> nn.Module:
    return nn.BatchNorm1d(channels) if dims == 1 else nn.BatchNorm2d(channels)
