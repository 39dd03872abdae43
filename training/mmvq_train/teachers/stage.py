"""Teachers and their training: a view of the window, and a wide residual net on it; or the codebook as it stands.

A teacher is a module from drawn windows (see `views`) to (logits, features of its stages). Its net trains on windows as
augmented where the view is cheap, and as recorded where it must be drawn ahead.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.losses import weighted_cross_entropy
from mmvq_train.config import Config, TeacherSpec
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage
from mmvq_train.pieces import LaidInTime
from mmvq_train.teachers.views import View, make_view
from mmvq_train.teachers.wrn import WideResNet

POSITIONS: Final = 16  # in a window, at which features are compared: place enough, cheap to keep


class Teacher(nn.Module, ABC):
    """What the student may follow: `draw` once, then drawn windows -> logits (N, C) and features of stages."""

    def draw(self, x: Tensor, cache: Path | None = None) -> Tensor:
        """Windows (N, W, 3) in g -> what `forward` takes, one row a window."""
        return x

    @abstractmethod
    def forward(self, drawn: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits, and each stage's features (N, channels, positions ...)."""

    def classifier(self) -> nn.Linear | None:
        """What reads `pooled` last, where that is one matrix."""
        return None

    def pooled(self, features: tuple[Tensor, ...]) -> Tensor:
        """The last stage in one (N, channels)."""
        return features[-1].flatten(2).mean(2)


class NetTeacher(Teacher):
    """A view, and a wide residual net of as many dimensions on it."""

    def __init__(self, view: View, classes: int, depth: int, width: int) -> None:
        super().__init__()
        self.view = view
        self.net = WideResNet(view.channels, classes, depth, width, view.dims)

    def draw(self, x: Tensor, cache: Path | None = None) -> Tensor:
        """The view's."""
        return self.view.draw(x, cache)

    def forward(self, drawn: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The net's logits and features."""
        found: tuple[Tensor, tuple[Tensor, ...]] = self.net(self.view(drawn))
        return found

    def classifier(self) -> nn.Linear:
        """The net's."""
        return self.net.head

    def pooled(self, features: tuple[Tensor, ...]) -> Tensor:
        """As the classifier reads them, after the last normalisation."""
        return self.net.pooled(features[-1])


class CodebookTeacher(Teacher):
    """The text-guided codebook of stage 1, frozen: its labels, and its tokens laid in time as features of one stage."""

    def __init__(self, codebook: ShapeCodebook) -> None:
        super().__init__()
        self.codebook, self.lay = codebook, LaidInTime(codebook.layout, POSITIONS)

    def forward(self, drawn: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What its codes say of windows (N, W, 3)."""
        pieces, z = self.codebook.encode(drawn)
        quantised = self.codebook.quantise(z)
        features = self.codebook.features(pieces, [q.z for q in quantised])
        hidden = self.codebook.hidden(features, [q.codes for q in quantised])
        return self.codebook.logits(hidden), (self.lay(torch.cat(hidden, dim=1)).transpose(1, 2),)


def make_teacher(spec: TeacherSpec, classes: int, image: int, seed: int) -> NetTeacher:
    """An untrained net; `image`: pixels a side, where it sees images. Codebook and student are made elsewhere."""
    torch.manual_seed(seed)
    return NetTeacher(make_view(spec.kind, image), classes, spec.depth, spec.width)


class TeacherStage(Stage):
    """Trains one teacher on labels."""

    def __init__(
        self, spec: TeacherSpec, config: Config, data: WindowSet, classes: int, cache: Path | None = None
    ) -> None:
        t, seed = config.teachers, (config.seed + spec.number) % 2**32
        super().__init__(data, epochs=t.epochs, batch=t.batch, learning_rate=t.learning_rate, seed=seed)
        self.teacher = make_teacher(spec, classes, t.image, seed)
        self.teacher.view.prepare(data.x, cache)
        self.drawn = self.teacher.draw(data.x, cache) if self.teacher.view.drawn else None
        self.register_buffer("frequency", torch.bincount(data.y, minlength=classes) / len(data))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Cross-entropy weighted for macro-F1."""
        drawn = batch.x if self.drawn is None else self.drawn[batch.row.cpu()].to(batch.x.device)
        logits, _features = self.teacher(drawn)
        loss = weighted_cross_entropy(logits, batch.y, self.get_buffer("frequency"))
        self.note(loss=loss.detach(), accuracy=(logits.argmax(-1) == batch.y).float().mean())
        return loss


@dataclass(frozen=True)
class Knowledge:
    """What a frozen teacher says of N windows in some copies: logits (copies, N, C), its last features as tokens
    half (copies, N, 16, width), and pooled as its classifier reads them, half (copies, N, width)."""

    logits: Tensor
    tokens: Tensor
    pooled: Tensor
    classifier: nn.Linear | None


@torch.no_grad()
def knowledge_of(teacher: Teacher, copies: Sequence[Tensor], cache: Path | None = None, size: int = 256) -> Knowledge:
    """Run a teacher, where it is, over copies of windows, (N, W, 3) each; what it says is kept on the CPU. Features are
    averaged down to 16 positions."""
    teacher.eval()
    device = next((weight.device for weight in teacher.parameters()), torch.device("cpu"))
    every = [[_known(teacher, part.to(device)) for part in teacher.draw(x, cache).split(size)] for x in copies]
    logits, tokens, pooled = (_stacked(every, i) for i in range(3))
    return Knowledge(logits, tokens, pooled, teacher.classifier())


def _stacked(every: list[list[tuple[Tensor, Tensor, Tensor]]], i: int) -> Tensor:
    return torch.stack([torch.cat([part[i] for part in parts]) for parts in every])


def _known(teacher: Teacher, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits, features = teacher(drawn)
    last = features[-1]
    small = F.adaptive_avg_pool1d(last, POSITIONS) if last.dim() == 3 else F.adaptive_avg_pool2d(last, 4)
    return logits.cpu(), small.flatten(2).transpose(1, 2).half().cpu(), teacher.pooled(features).half().cpu()
