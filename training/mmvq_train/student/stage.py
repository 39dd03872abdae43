"""Stage 3: distil teachers and codebook into the student, through the workspace.

    loss = (1−λ) CE + λT² Σ_m α_m KL(T_m ‖ S)                labels and teachers; α from the workspace's maps
         + L_KD on z + sub-action targets                     the codebook, whose codes stay frozen
         + CE of the workspace's own head + alignment + similarity-preserving

The workspace (slots over teachers' features, cross-attention of the student's tokens to them) lives here only; what is
exported has one input and no slots. Its gradient reaches the student through the token embeddings.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.losses import action_loss
from mmvq_train.config import Config
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage
from mmvq_train.pieces import PieceValues
from mmvq_train.student.model import Student, StudentOutput
from mmvq_train.teachers import Knowledge
from mmvq_train.workspace import (
    DynamicCoefficients,
    SlotAttention,
    Stream,
    StudentCrossAttention,
    alignment,
    distillation_kl,
    similarity_preserving,
)


class Workspace(nn.Module):
    """Teachers' tokens (B, L_m, D_m) and the student's (B, T, width) -> the student's updated, maps, coefficients."""

    def __init__(self, config: Config, knowledge: Sequence[Knowledge], tokens: int, width: int, classes: int) -> None:
        super().__init__()
        w = config.workspace
        common = knowledge[0].tokens.shape[1]
        self.teachers = nn.ModuleList(Stream(k.tokens.shape[1], k.tokens.shape[2], common, w.dim) for k in knowledge)
        self.student = Stream(tokens, width, common, w.dim)
        self.slots = SlotAttention(w.dim, len(knowledge), w.slots, w.rounds)
        self.read = StudentCrossAttention(w.dim, w.heads)
        self.coefficients = DynamicCoefficients(len(knowledge), w.orientation)
        self.head = nn.Linear(w.dim, classes)

    def forward(self, teachers: Sequence[Tensor], student: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the workspace's own head (B, C), alignment loss, coefficients α (M,)."""
        slots, kis = self.slots([stream(t) for stream, t in zip(self.teachers, teachers, strict=True)])
        tokens, kts = self.read(self.student(student), slots)
        return self.head(tokens.mean(1)), alignment(kts, kis), self.coefficients(kts, kis)


class StudentStage(Stage):
    """Trains a Student on labels, the frozen teachers' Knowledge, and the frozen codebook."""

    def __init__(
        self,
        config: Config,
        data: WindowSet,
        classes: int,
        codebook: ShapeCodebook,
        knowledge: Sequence[Knowledge],
        membership: Tensor,
    ) -> None:
        s = config.student
        super().__init__(
            data, epochs=s.epochs, batch=s.batch, learning_rate=s.learning_rate, weight_decay=s.weight_decay,
            seed=config.seed, rotation_deg=s.rotation_deg, gain=s.gain,
        )
        self.recipe, self.workspace_recipe = s, config.workspace
        torch.manual_seed(config.seed)
        layout, c = config.layout, config.codebook
        self.student = Student(layout, c.size, c.dim, classes, membership.shape[1], s.width, s.embedding, s.dropout)
        self.student.adopt(codebook)
        # In a tuple, so that what is frozen is neither trained nor checkpointed with the student.
        self.frozen = (codebook.eval().requires_grad_(False),)
        self.knowledge = tuple(knowledge)
        self.register_buffer("membership", membership, persistent=False)
        self.workspace = (
            Workspace(config, knowledge, layout.tokens, s.width, classes)
            if config.workspace.enabled and knowledge
            else None
        )

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """All losses of the module's docstring, in one step."""
        s = self.recipe
        keep = None
        if s.piece_dropout > 0:
            drawn = torch.rand(len(batch.y), self.student.layout.tokens, device=batch.x.device)
            keep = (drawn >= s.piece_dropout).float() / (1 - s.piece_dropout)
        (codebook,) = self.frozen
        codebook.to(batch.x.device)
        with torch.no_grad():
            pieces, z = codebook.encode(batch.x)
        out = self.student.judge(pieces, keep)
        parts = {"label": F.cross_entropy(out.logits, batch.y, label_smoothing=s.smoothing)}
        parts |= self._from_codebook(codebook, batch, pieces, z, out)
        row = batch.row.cpu()
        said = [k.logits[row].to(batch.x.device) for k in self.knowledge]
        if said:
            alpha = torch.full((len(said),), 1 / len(said), device=batch.x.device)
            if self.workspace is not None:
                tokens = [k.tokens[row].to(batch.x.device).float() for k in self.knowledge]
                logits, align, alpha = self.workspace(tokens, out.embeddings)
                parts["workspace"] = F.cross_entropy(logits, batch.y, label_smoothing=s.smoothing)
                parts["align"] = self.workspace_recipe.align * align
                pooled = out.embeddings.mean(1)
                similar = torch.stack([similarity_preserving(t, pooled) for t in tokens]).mean()
                parts["similarity"] = self.workspace_recipe.similarity * similar
            parts["label"] = (1 - s.distil) * parts["label"]
            parts["teachers"] = s.distil * torch.stack(
                [a * distillation_kl(out.logits, t, s.temperature) for a, t in zip(alpha, said, strict=True)]
            ).sum()
            self.note(**{f"alpha_{i}": float(a) for i, a in enumerate(alpha)})
        loss = torch.stack(list(parts.values())).sum()
        self.note(loss=loss.detach(), **{name: value.detach() for name, value in parts.items()})
        return loss

    def _from_codebook(
        self, codebook: ShapeCodebook, batch: Batch, pieces: list[PieceValues], z: list[Tensor], out: StudentOutput
    ) -> dict[str, Tensor]:
        """L_KD on z, and the sub-action targets: inside the label's set, and as the codebook's action decoder says."""
        follow = self.recipe.follow * F.mse_loss(out.z, torch.cat(z, dim=1))
        if codebook.text is None:
            return {"follow": follow}
        allowed = self.get_buffer("membership")[batch.y]
        with torch.no_grad():
            taught = codebook.action_logits(pieces, z)
            taught = taught.masked_fill(~allowed[:, None], float("-inf")).softmax(-1)
        copied = -(taught * out.actions.log_softmax(-1)).sum(-1).mean()
        return {"follow": follow, "action": self.recipe.action * (copied + action_loss(out.actions, allowed))}
