"""Pre-training by Lightning: any device, one or many, in legs that a killed run goes on from.

A leg is what lies between two checkpoints, and an epoch to Lightning: so many steps of the whole run, wherever an epoch
of the data ends. Order, masks and dropout come from (seed, place in the run) alone, so a run that goes on at a leg's
start does what the uninterrupted one would.
"""

import math
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmvq_bridge.command import BadInput
from mmvq_train.codebook.quantiser import perplexity
from mmvq_train.vqshape.config import Recipe, VQShapeConfig
from mmvq_train.vqshape.losses import vqshape_losses
from mmvq_train.vqshape.model import VQShape
from mmvq_train.vqshape.series import interpolate, random_keep

STRIDE = 100_003  # a prime beyond any number of epochs or legs: no two seeds share a stream
DEVICES = 1024  # and no two devices of a leg


class Rows(Dataset[Tensor]):
    """Some rows of series (N, n), a batch at a time."""

    def __init__(self, series: Tensor, rows: Tensor) -> None:
        self.series, self.rows = series, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Tensor:
        return self.series[self.rows[number]]

    def __getitems__(self, numbers: Sequence[int]) -> Tensor:
        """What DataLoader asks for where it can: one gather instead of a stack of rows."""
        return self.series[self.rows[torch.as_tensor(numbers)]]


class Pretraining(L.LightningModule):
    """VQShape on series (N, n), n as recorded; they are interpolated when they are used."""

    def __init__(self, config: VQShapeConfig, recipe: Recipe, series: Tensor, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.model = VQShape(config)
        self.config, self.recipe, self.series, self.seed = config, recipe, series, seed
        self.batch = min(recipe.batch, len(series))
        self.steps_an_epoch = len(series) // self.batch  # a last batch that would be short is left out
        steps = recipe.epochs * self.steps_an_epoch
        self.steps = min(steps, recipe.max_steps or steps)

    @property
    def legs(self) -> int:
        """Legs of the run."""
        return math.ceil(self.steps / self.recipe.leg)

    def order(self, begin: int, end: int) -> Tensor:
        """The rows of steps begin..end of the run, batch after batch."""
        parts = []
        for epoch in range(begin // self.steps_an_epoch, (end - 1) // self.steps_an_epoch + 1):
            generator = torch.Generator().manual_seed(self.seed * STRIDE + epoch)
            first = epoch * self.steps_an_epoch
            low, high = max(begin, first) - first, min(end, first + self.steps_an_epoch) - first
            shuffled = torch.randperm(len(self.series), generator=generator)
            parts.append(shuffled[low * self.batch : high * self.batch])
        return torch.cat(parts)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """A leg's batches, made anew for each. Lightning gives each of several devices its share of them."""
        devices = self.trainer.world_size
        if self.batch % devices:
            raise BadInput(f"--batch {self.batch} must be a multiple of the {devices} devices")
        begin = self.current_epoch * self.recipe.leg
        rows = self.order(begin, min(begin + self.recipe.leg, self.steps))
        return DataLoader(
            Rows(self.series, rows), self.batch // devices, collate_fn=_as_it_is, pin_memory=self.device.type == "cuda"
        )

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Masks and dropout. Lightning leaves out on_train_epoch_start when it resumes."""
        if batch_idx == 0:
            torch.manual_seed((self.seed * STRIDE + self.current_epoch) * DEVICES + self.global_rank)

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        """One step on series (B, n)."""
        x = interpolate(batch, self.config.samples)
        keep = random_keep(len(x), self.config.patches, self.recipe.mask, x.device) if self.recipe.mask else None
        output = self.model(x, keep)
        losses = vqshape_losses(output, x, self.config, self.recipe)
        values = {name: value.detach() for name, value in losses._asdict().items()}
        self.log_dict({**values, "perplexity": perplexity(output.quantised.codes, self.config.codes)}, prog_bar=True)
        return losses.total

    def configure_optimizers(self) -> Any:
        """AdamW; up along a line, then down along a cosine."""
        recipe = self.recipe
        optimiser = torch.optim.AdamW(self.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, self.steps, recipe))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(step: int, steps: int, recipe: Recipe) -> float:
    """The learning rate at a step of `steps`, as a share of its highest."""
    warm_up = recipe.warm_up if recipe.warm_up < steps else steps // 2
    if step < warm_up:
        return (step + 1) / warm_up
    down = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))
    end = recipe.final_rate / recipe.learning_rate
    return end + (1 - end) * down


def _as_it_is(batch: Any) -> Any:
    return batch
