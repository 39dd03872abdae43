"""Teachers and their training: a view of the window, and a wide residual net on it.

A teacher is a module from rows of views to (logits, features of three stages). Views that are slow to make
(persistence images) are made once per WindowSet; they show the window as recorded, without augmentation.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook.losses import weighted_cross_entropy
from mmvq_train.config import Config, TeachersConfig
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage
from mmvq_train.teachers.persistence import PersistenceImager
from mmvq_train.teachers.wrn import Features, WideResNet

Kind = Literal["signal", "persistence"]
MAP_TOKENS = 16  # positions of a teacher's last features that the workspace sees: enough for place, cheap to keep


class SignalTeacher(nn.Module):
    """1-D wide residual net on the window itself, standardised by the training people's mean and deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, classes: int, config: TeachersConfig) -> None:
        super().__init__()
        self.net = WideResNet(3, classes, config.depth, config.width, dims=1)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("deviation", torch.ones(3))

    def prepare(self, x: Tensor) -> None:
        """Take the scale from training windows (N, W, 3)."""
        self.mean.copy_(x.mean((0, 1)))
        self.deviation.copy_(x.std((0, 1)).clamp_min(1e-3))

    def view(self, x: Tensor) -> Tensor:
        """(N, W, 3) in g -> (N, 3, W)."""
        return ((x - self.mean) / self.deviation).transpose(1, 2)

    def forward(self, view: Tensor) -> tuple[Tensor, Features]:
        """Logits and features."""
        found: tuple[Tensor, Features] = self.net(view)
        return found


class PersistenceTeacher(nn.Module):
    """2-D wide residual net on persistence images, normalised by the training images' mean and deviation."""

    low: Tensor
    high: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, classes: int, config: TeachersConfig) -> None:
        super().__init__()
        self.size = config.image
        self.net = WideResNet(3, classes, config.depth, config.width, dims=2)
        for name in ("low", "high", "mean"):
            self.register_buffer(name, torch.zeros(3))
        self.register_buffer("deviation", torch.ones(3))

    def prepare(self, x: Tensor) -> None:
        """Take range and scale from training windows (N, W, 3)."""
        imager = PersistenceImager.fit(x.numpy(), self.size, self._sigma)
        self.low.copy_(torch.tensor(imager.low))
        self.high.copy_(torch.tensor(imager.high))
        images = torch.from_numpy(imager.images(x.numpy()))
        self.mean.copy_(images.mean((0, 2, 3)))
        self.deviation.copy_(images.std((0, 2, 3)).clamp_min(1e-3))

    @property
    def _sigma(self) -> float:
        return max(0.015, 0.96 / self.size)  # the published .015, unless that is finer than half a pixel

    def view(self, x: Tensor) -> Tensor:
        """(N, W, 3) in g -> images (N, 3, size, size)."""
        imager = PersistenceImager(tuple(self.low.tolist()), tuple(self.high.tolist()), self.size, self._sigma)
        images = torch.from_numpy(imager.images(x.cpu().numpy()))
        return (images - self.mean[:, None, None]) / self.deviation[:, None, None]

    def forward(self, view: Tensor) -> tuple[Tensor, Features]:
        """Logits and features."""
        found: tuple[Tensor, Features] = self.net(view)
        return found


Teacher = SignalTeacher | PersistenceTeacher


def make_teacher(kind: Kind, classes: int, config: TeachersConfig) -> Teacher:
    """An untrained teacher of that kind."""
    return SignalTeacher(classes, config) if kind == "signal" else PersistenceTeacher(classes, config)


class TeacherStage(Stage):
    """Trains one teacher on labels. A net on images sees them as recorded; one on signals sees them augmented."""

    def __init__(self, kind: Kind, config: Config, data: WindowSet, classes: int) -> None:
        t = config.teachers
        super().__init__(data, epochs=t.epochs, batch=t.batch, learning_rate=t.learning_rate, seed=config.seed)
        torch.manual_seed(config.seed)
        self.kind = kind
        self.teacher = make_teacher(kind, classes, t)
        self.teacher.prepare(data.x)
        self.views = self.teacher.view(data.x) if kind == "persistence" else None
        self.register_buffer("frequency", torch.bincount(data.y, minlength=classes) / len(data))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Cross-entropy weighted for macro-F1."""
        view = self.teacher.view(batch.x) if self.views is None else self.views[batch.row.cpu()].to(batch.x.device)
        logits, _features = self.teacher(view)
        loss = weighted_cross_entropy(logits, batch.y, self.get_buffer("frequency"))
        self.note(loss=loss.detach(), accuracy=(logits.argmax(-1) == batch.y).float().mean())
        return loss


@dataclass(frozen=True)
class Knowledge:
    """What a frozen teacher says of a WindowSet: logits (N, C), and its last features as tokens (N, 16, width)."""

    logits: Tensor
    tokens: Tensor


@torch.no_grad()
def knowledge_of(teacher: Teacher, x: Tensor, size: int = 256) -> Knowledge:
    """Run a teacher over (N, W, 3). Features are averaged down to 16 positions and kept in half precision."""
    teacher.eval()
    logits, tokens = [], []
    for part in x.split(size):
        out, features = teacher(teacher.view(part))
        last = features[-1]
        small = F.adaptive_avg_pool1d(last, MAP_TOKENS) if last.dim() == 3 else F.adaptive_avg_pool2d(last, 4)
        logits.append(out)
        tokens.append(small.flatten(2).transpose(1, 2).half())
    return Knowledge(torch.cat(logits), torch.cat(tokens))
