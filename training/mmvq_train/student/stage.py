"""Stage 3: teach the student what the labels, the teachers and the codebook say, over tokens that stand still.

    loss = (1−λ) CE + what the method asks for (see `methods`)        labels and teachers
         + λ T² KL of windows without labels                          teachers alone, in equal parts
         + sub-action targets                                         the codebook, whose codes stay frozen

The student's map to the codes is learnt before (`tokens.follow`); what is left are its networks. Teachers judge the
very copies of windows that the student reads. Nothing of a method is in what is exported, which takes the window alone,
but slots where they are frozen into the student.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.losses import action_loss
from mmvq_train.config import Config
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage
from mmvq_train.pieces import LaidInTime
from mmvq_train.student.methods import Seen, make_method
from mmvq_train.student.model import Student, make_student
from mmvq_train.student.tokens import Tokens, follow, tokens_of
from mmvq_train.teachers import POSITIONS, Knowledge


@dataclass(frozen=True)
class Lessons:
    """Copies of windows, (N, W, 3) in g each, and what every teacher says of them."""

    copies: Sequence[Tensor]
    knowledge: Sequence[Knowledge]


class StudentStage(Stage):
    """Trains a Student on labels, what frozen teachers say of copies of the windows, and the frozen codebook; and on
    what the teachers say of windows without labels, if there are some."""

    def __init__(
        self,
        config: Config,
        data: WindowSet,
        classes: int,
        codebook: ShapeCodebook,
        lessons: Lessons,
        membership: Tensor,
        unlabelled: Lessons | None = None,
    ) -> None:
        s = config.student
        super().__init__(
            data, epochs=s.epochs, batch=s.batch, learning_rate=s.learning_rate, weight_decay=s.weight_decay,
            seed=config.seed, rotation_deg=0.0, gain=0.0,  # the copies are turned already
        )
        self.recipe = s
        torch.manual_seed(config.seed)
        self.student = make_student(config, classes, membership.shape[1])
        self.student.adopt(codebook)
        follow(self.student, codebook, data.x, s.follow, config.seed)
        self.tokens = tokens_of(self.student, lessons.copies)
        # In a tuple, so that what is frozen is neither trained nor checkpointed with the student.
        self.frozen = (codebook.eval().requires_grad_(False),)
        self.knowledge = tuple(lessons.knowledge)
        self.more: tuple[Tokens, Tensor] | None = None
        if unlabelled is not None:
            said = [(k.logits / s.temperature).softmax(-1) for k in unlabelled.knowledge]
            self.more = tokens_of(self.student, unlabelled.copies), torch.stack(said).mean(0)
        self.register_buffer("membership", membership, persistent=False)
        self.lay = LaidInTime(config.layout, POSITIONS)
        known = self.knowledge
        self.method = make_method(s, config.workspace, self.student, known) if known else None

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """All losses of the module's docstring, in one step."""
        s, device = self.recipe, batch.x.device
        copy, rows = self.current_epoch % len(self.tokens.codes), batch.row.cpu()
        codes, attributes = self.tokens.some(copy, rows, device)
        logits, embeddings = self._read(codes, attributes)
        parts = {"label": F.cross_entropy(logits, batch.y, label_smoothing=s.smoothing)}
        if self.method is not None and self.current_epoch >= round(s.anneal * self.epochs):
            parts["label"] = self.method.labels * parts["label"]
            parts |= self.method(Seen(
                logits, embeddings, self.lay(embeddings), batch.y,
                *([getattr(k, what)[copy, rows].to(device).float() for k in self.knowledge]
                  for what in ("logits", "tokens", "pooled")),
            ))
            if self.more is not None:
                parts["unlabelled"] = s.distil * self._unlabelled(self.more, copy, device)
        if self.frozen[0].text is not None:
            parts["action"] = s.action * self._sub_actions(batch.y, codes, attributes, embeddings)
        loss = torch.stack(list(parts.values())).sum()
        alpha = self.method.coefficients() if self.method is not None else {}
        self.note(loss=loss.detach(), **{name: value.detach() for name, value in parts.items()}, **alpha)
        return loss

    def _read(self, codes: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C), some pieces left out, and embeddings (B, T, width)."""
        contributions, embeddings = self.student.said(codes, attributes)
        share = self.recipe.piece_dropout
        if share > 0:
            drawn = torch.rand(contributions.shape[:2], device=contributions.device) >= share
            contributions = contributions * drawn[..., None] / (1 - share)
        return contributions.sum(1) + self.student.bias, embeddings

    def _unlabelled(self, more: tuple[Tokens, Tensor], copy: int, device: torch.device) -> Tensor:
        """T² KL(teachers ‖ student) of windows drawn anew, half as many as have labels."""
        tokens, told = more
        rows = torch.randint(told.shape[1], (max(1, self.batch // 2),))
        logits, _ = self._read(*tokens.some(copy, rows, device))
        temperature = self.recipe.temperature
        wanted = told[copy, rows].to(device)
        apart = F.kl_div((logits / temperature).log_softmax(-1), wanted, reduction="batchmean")
        return apart * temperature**2

    def finish(self) -> Student:
        """The student as it is to be judged, once its weights are the last ones."""
        if self.method is not None:
            self.method.finish(self.student)
        return self.student

    def _sub_actions(self, y: Tensor, codes: Tensor, attributes: Tensor, embeddings: Tensor) -> Tensor:
        """Inside the label's set, and as the codebook's action decoder says of these codes."""
        (codebook,) = self.frozen
        codebook.to(y.device)
        allowed = self.get_buffer("membership")[y]
        said = self.student.act(embeddings)
        with torch.no_grad():
            taught = codebook.actions_of(codes, attributes).masked_fill(~allowed[:, None], float("-inf")).softmax(-1)
        return action_loss(said, allowed) - (taught * said.log_softmax(-1)).sum(-1).mean()
