"""What every stage shares: batches from memory, the optimiser, checkpoints that a killed run goes on from.

A batch's order and augmentation come from (seed, epoch) alone, so a resumed run draws what the uninterrupted one would.
"""

import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from mmvq_bridge.command import BadInput
from mmvq_train.config import Accelerator, Precision
from mmvq_train.data import WindowSet, augment

LEAST_STEPS: Final = 16  # of an epoch, where that leaves batches of
LEAST_BATCH: Final = 16  # windows or more


class Batch(NamedTuple):
    """x (B, window, 3), y (B,), and the windows' rows in their set (B,), for what was computed ahead."""

    x: Tensor
    y: Tensor
    row: Tensor


class Batches(IterableDataset[Batch]):
    """One epoch of shuffled, augmented batches; the last one, if short, is left out when others exist."""

    def __init__(self, data: WindowSet, size: int, seed: int, epoch: int, rotation_deg: float, gain: float) -> None:
        self.data = data
        self.size = min(size, len(data))
        self.seed = seed * 100_003 + epoch  # a prime beyond any number of epochs: no two runs share a stream
        self.rotation_deg = rotation_deg
        self.gain = gain

    def __len__(self) -> int:
        return len(self.data) // self.size

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.data), generator=generator)
        for start in range(0, len(self) * self.size, self.size):
            row = order[start : start + self.size]
            x = augment(self.data.x[row], self.rotation_deg, self.gain, generator)
            yield Batch(x, self.data.y[row], row)


class Stage(L.LightningModule):
    """A module that trains on a WindowSet with AdamW and one cycle of the learning rate."""

    def __init__(
        self,
        data: WindowSet,
        *,
        epochs: int,
        batch: int,
        learning_rate: float,
        seed: int,
        weight_decay: float = 0.01,
        rotation_deg: float = 10.0,
        gain: float = 0.05,
    ) -> None:
        super().__init__()
        self.data = data
        self.epochs = epochs
        # A minute of a label or two is less than a batch: an epoch of one step would teach nothing.
        self.batch = min(batch, max(LEAST_BATCH, len(data) // LEAST_STEPS))
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        self.rotation_deg, self.gain = rotation_deg, gain

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout, too, comes from (seed, epoch). Lightning leaves out on_train_epoch_start when it resumes."""
        if batch_idx == 0:
            torch.manual_seed(self.seed * 100_003 + self.current_epoch)

    def train_dataloader(self) -> DataLoader[Any]:
        """Made anew every epoch, which is how the epoch's number gets in."""
        batches = Batches(self.data, self.batch, self.seed, self.current_epoch, self.rotation_deg, self.gain)
        return DataLoader(batches, batch_size=None, num_workers=0)

    def configure_optimizers(self) -> Any:
        """AdamW; up for a tenth of the steps, then down along a cosine (Smith & Topin 2019)."""
        wanted = [p for p in self.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(wanted, lr=self.learning_rate, weight_decay=self.weight_decay)
        steps = self.epochs * max(1, len(self.data) // min(self.batch, len(self.data)))
        # At 10 steps in all the way up would be none, by which OneCycleLR divides.
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.learning_rate, total_steps=max(11, steps + 1), pct_start=0.1
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def note(self, **values: Tensor | float) -> None:
        """Log scalars per epoch, and show them beside the progress bar."""
        self.log_dict(dict(values), on_step=False, on_epoch=True, prog_bar=True, batch_size=1)


def device_of(accelerator: Accelerator) -> torch.device:
    """Where `fit` trains. Raises BadInput if that is to be a GPU and there is none."""
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise BadInput("--accelerator gpu: torch sees no GPU here; leave it out, or install a torch that does")
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def fit(
    stage: Stage, name: str, run: Path, accelerator: Accelerator, average: float = 0.0,
    precision: Precision = "32-true",
) -> None:
    """Train `stage`; checkpoints in run/log/<name>.ckpt, which an interrupted run is resumed from.

    average: share of the last epochs over which weights are averaged (exponentially). Raises BadInput for a checkpoint
    that cannot be read.
    """
    checkpoint = run / "log" / f"{name}.ckpt"
    earlier = resumable(checkpoint, stage)
    saver = ModelCheckpoint(
        dirpath=checkpoint.parent, filename=name, enable_version_counter=False, save_on_train_epoch_end=True
    )
    callbacks: list[Callback] = [saver, TQDMProgressBar(refresh_rate=10)]
    if average > 0:
        # Buffers (the frozen codes) are no weights: their average would differ from them by its rounding.
        start = int(stage.epochs * (1 - average))
        callbacks.append(EMAWeightAveraging(use_buffers=False, decay=0.99, update_starting_at_epoch=start))
    L.seed_everything(stage.seed, verbose=False)
    with lightning_quiet():
        trainer = L.Trainer(
            accelerator=accelerator,
            devices=1,
            precision=precision,
            max_epochs=stage.epochs,
            # On Ctrl-C TensorBoard's writer may sleep out the time between its flushes, by default two minutes.
            logger=[
                CSVLogger(run / "log", name=None, version=name),
                TensorBoardLogger(run / "log", name=None, version=name, flush_secs=2),
            ],
            callbacks=callbacks,
            enable_model_summary=False,
            reload_dataloaders_every_n_epochs=1,
            deterministic="warn",  # a CUDA operation without a deterministic form is said, not refused
            log_every_n_steps=10,
        )
        _keep_curves(run / "log" / name)
        trainer.fit(stage, ckpt_path=earlier, weights_only=True)
    stage.cpu().eval()
    checkpoint.unlink(missing_ok=True)


# What reading a file raises that is no checkpoint, or a damaged one: its pickle is a little program, cut anywhere.
DAMAGED = (
    UnpicklingError, RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, struct.error
)


def resumable(checkpoint: Path, stage: nn.Module) -> str | None:
    """The checkpoint, if there is one to go on from. Raises BadInput naming one that cannot be read, or that is of
    another stage, as an earlier version of mmvq had it.

    Only tensors and plain values are read (weights_only, here and where Lightning loads it): a file that asks for
    anything else is refused before it can run. The file is mapped, not copied.
    """
    if not checkpoint.exists():
        return None
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
        fits = _shapes(saved) == _shapes(stage.state_dict())
    except DAMAGED:
        fits = False
    if not fits:
        raise BadInput(f"{checkpoint}: cannot be gone on from; remove it and this stage starts anew")
    return str(checkpoint)


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


@contextmanager
def lightning_quiet() -> Iterator[None]:
    """Lightning without its advice, and Ctrl-C as Ctrl-C."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Data lie in memory, so workers would only cost; stages are short, so logging every step is meant.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*The number of training batches.*")
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists.*")
        warnings.filterwarnings("ignore", ".*Experiment logs directory .* exists.*")
        warnings.filterwarnings("ignore", ".*IterableDataset.*has `__len__` defined.*")
        warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
        try:
            yield
        except SystemExit:  # how Lightning ends on Ctrl-C, with a status of its own
            raise KeyboardInterrupt from None


def _keep_curves(folder: Path) -> None:
    """Put the curve of an interrupted stage aside: the logger starts its file anew."""
    earlier = folder / "metrics.csv"
    if earlier.exists():
        earlier.rename(folder / f"metrics-{len(list(folder.glob('metrics-*.csv'))):03}.csv")


@torch.no_grad()
def in_batches(
    module: nn.Module, x: Tensor, size: int = 256, kept: Callable[[Any], Any] = lambda result: result
) -> list[Any]:
    """Apply a module in evaluation mode to (N, ...) in parts; a list of its results, or of what is `kept` of each."""
    module.eval()
    return [kept(module(part)) for part in x.split(size)]
