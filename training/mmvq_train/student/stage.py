"""Stage 3: teach the student what the labels, the teachers and the codebook say, over tokens that stand still.

    loss = (1−λ) CE + what the method asks for (see `methods`)        labels and teachers
         + CE of mixtures of two windows                              their labels, by share
         + λ T² KL of windows without labels                          teachers alone, in equal parts
         + sub-action targets                                         the codebook, whose codes stay frozen

The student's map to the codes is learnt before (`tokens.follow`); what is left are its networks. Teachers judge the
very copies of windows that the student reads. Nothing of a method is in what is exported, which takes the window alone,
but slots where they are frozen into the student.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.losses import action_loss
from mmvq_train.config import Config
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage, device_of
from mmvq_train.pieces import LaidInTime
from mmvq_train.student.methods import Method, Seen, make_method
from mmvq_train.student.model import Student, make_student
from mmvq_train.student.tokens import Mixed, Tokens, follow, mixed_of, tokens_of
from mmvq_train.teachers import POSITIONS, Knowledge

ACTIONS_OF: Final = 4  # sub-actions are learnt from every fourth window of a batch: two fifths of a step went into them


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
        self.student.to(device_of(config.accelerator))
        self.tokens = tokens_of(self.student, lessons.copies)
        self.mixed = mixed_of(self.student, data.x, s, config.seed) if s.mixed else None
        # In a tuple, so that what is frozen is neither trained nor checkpointed with the student.
        self.frozen = (codebook.eval().requires_grad_(False),)
        self.knowledge = tuple(lessons.knowledge)
        self.more: tuple[Tokens, Tensor] | None = None
        if unlabelled is not None:
            said = [(k.logits / s.temperature).softmax(-1) for k in unlabelled.knowledge]
            self.more = tokens_of(self.student, unlabelled.copies), torch.stack(said).mean(0)
        self.register_buffer("membership", membership, persistent=False)
        parts, reader = self.student.parts(), self.student.reader
        self.lay = nn.ModuleList(LaidInTime(part.layout, POSITIONS) for part in parts)
        self.methods = nn.ModuleList(
            make_method(s, config.workspace, part, reader, self.knowledge) for part in parts if self.knowledge
        )

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """All losses of the module's docstring, in one step; means over the student's parts, each as if alone."""
        s, device = self.recipe, batch.x.device
        copy, rows = self.current_epoch % len(self.tokens.codes), batch.row.cpu()
        codes, attributes = self.tokens.some(copy, rows, device)
        said, embeddings = self._read(codes, attributes)
        learning = len(self.methods) > 0 and self.current_epoch >= round(s.anneal * self.epochs)
        known = [
            [getattr(k, what)[copy, rows].to(device).float() for k in self.knowledge if learning]
            for what in ("logits", "tokens", "pooled")
        ]
        parts: dict[str, Tensor] = {}
        for number, (logits, part) in enumerate(zip(said, self.student.parts(), strict=True)):
            own = {"label": F.cross_entropy(logits, batch.y, label_smoothing=s.smoothing)}
            if learning:
                method = self.method(number)
                own["label"] = method.labels * own["label"]
                of_part = embeddings[:, part.tokens]
                own |= method(Seen(logits, of_part, self.lay[number](of_part), batch.y, *known))
            for name, value in own.items():
                parts[name] = parts.get(name, 0) + value / len(said)
        if self.mixed is not None:
            parts["mixed"] = self._mixed(self.mixed, device)
        if learning and self.more is not None:
            parts["unlabelled"] = s.distil * self._unlabelled(self.more, copy, device)
        if self.frozen[0].text is not None:
            some = [part[: -(-len(part) // ACTIONS_OF)] for part in (batch.y, codes, attributes, embeddings)]
            parts["action"] = s.action * self._sub_actions(*some)
        loss = torch.stack(list(parts.values())).sum()
        self.note(loss=loss.detach(), **{name: value.detach() for name, value in parts.items()}, **self.coefficients())
        return loss

    def method(self, number: int) -> Method:
        """Of the student's part of that number."""
        method = self.methods[number]
        assert isinstance(method, Method)
        return method

    def coefficients(self) -> dict[str, float]:
        """What teachers count by now, where that moves: mean over the student's parts."""
        every = [self.method(number).coefficients() for number in range(len(self.methods))]
        return {name: sum(one[name] for one in every) / len(every) for name in (every[0] if every else ())}

    def _read(self, codes: Tensor, attributes: Tensor) -> tuple[list[Tensor], Tensor]:
        """Logits (B, C) of every part of the student, some pieces left out, and embeddings (B, T, width)."""
        contributions, embeddings = self.student.said(codes, attributes)
        contributions = contributions * self._kept(codes)[..., None] / (1 - self.recipe.piece_dropout)
        parts = self.student.parts()
        return [len(parts) * contributions[:, p.tokens].sum(1) + self.student.bias for p in parts], embeddings

    def _judge(self, codes: Tensor, attributes: Tensor) -> Tensor:
        """The logits of `_read` alone, (parts, B, C): pieces that are left out are not even looked up."""
        layout, kept = self.student.layout, self._kept(codes)
        parts = len(layout.parts())
        sums = self.student.bias.new_zeros(parts, len(codes), len(self.student.bias))
        lengths = zip(*(of_all.split(layout.counts, dim=1) for of_all in (codes, attributes, kept)), strict=True)
        for i, (code, attribute, here) in enumerate(lengths):
            said, _ = self.student.weigh(i, code[here][None], attribute[here][None])
            sums[layout.part[i]].index_add_(0, here.nonzero()[:, 0], said[0])
        return sums * parts / (1 - self.recipe.piece_dropout) + self.student.bias

    def _kept(self, codes: Tensor) -> Tensor:
        """Which pieces (B, T) of codes (B, T, S) count this time."""
        share, shape = self.recipe.piece_dropout, codes.shape[:2]
        return torch.rand(shape, device=codes.device) >= share if share else codes.new_ones(shape, dtype=torch.bool)

    def _mixed(self, mixed: Mixed, device: torch.device) -> Tensor:
        """Cross-entropy of as many mixtures, drawn anew, against both labels; mean over the student's parts."""
        copy, y = self.current_epoch % len(mixed.share), self.data.y
        rows = torch.randint(len(y), (self.batch,))
        share = mixed.share[copy, rows].to(device)
        losses = [
            weight * F.cross_entropy(said, label.to(device), label_smoothing=self.recipe.smoothing, reduction="none")
            for said in self._judge(*mixed.tokens.some(copy, rows, device))
            for weight, label in ((share, y[rows]), (1 - share, y[mixed.other[copy, rows]]))
        ]
        return torch.stack(losses).mean(1).sum() / len(self.student.parts())

    def _unlabelled(self, more: tuple[Tokens, Tensor], copy: int, device: torch.device) -> Tensor:
        """T² KL(teachers ‖ student) of windows drawn anew, half as many as have labels."""
        tokens, told = more
        rows = torch.randint(told.shape[1], (max(1, self.batch // 2),))
        said = self._judge(*tokens.some(copy, rows, device))
        temperature = self.recipe.temperature
        wanted = told[copy, rows].to(device)
        apart = [F.kl_div((one / temperature).log_softmax(-1), wanted, reduction="batchmean") for one in said]
        return torch.stack(apart).mean() * temperature**2

    def finish(self) -> Student:
        """The student as it is to be judged, once its weights are the last ones."""
        for number, part in enumerate(self.student.parts() if len(self.methods) else ()):
            self.method(number).finish(part, self.student.bias)
        self.student.maps.half().float()  # what the tokens were made with, but for the rounding of the weights' average
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
