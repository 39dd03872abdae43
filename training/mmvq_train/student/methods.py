"""Ways to learn from teachers, all for the same student and trainer: what a batch is seen as, and a module for each.

    kd         (1−λ) CE + λ T² KL, teachers in equal parts (one teacher: Hinton et al. 2015; several: plain average)
    ebkd       the same, teachers by their entropy           camkd     by their rightness, and their features
    mtkd-rl    the same with features, by a learnt agent     dist      (1−λ) CE + λ correlation of answers
    at sp dcd  CE + what features say together               simkd     features alone, read by the teacher's classifier
    workspace  KD weighed by the workspace's maps, with alignment and similarity of features (mGLW)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_bridge.command import BadInput
from mmvq_train.config import DistilMethod, StudentConfig, WorkspaceConfig
from mmvq_train.distil.losses import (
    DiscriminativeConsistent,
    Regressor,
    attention_transfer,
    correlation_distance,
    divergence,
    feature_distance,
    similarity_preserving,
)
from mmvq_train.distil.weights import Agent, agent_state, confidence_weights, entropy_weights, equal_weights
from mmvq_train.student.model import Part
from mmvq_train.teachers import POSITIONS, Knowledge
from mmvq_train.workspace import (
    DynamicCoefficients,
    SlotAttention,
    SlotReader,
    Stream,
    StudentCrossAttention,
    alignment,
)

# What losses of features count beside a cross-entropy, before --student.hint: as published, AT's 1500 for a mean over
# positions, SP's 700 for wrist data (Hong et al., TNNLS 2025), MTKD-RL's 5.
AT_WEIGHT: Final = 1500 / POSITIONS
SP_WEIGHT: Final = 700.0
AGENT_WEIGHT: Final = 5.0


class Seen(NamedTuple):
    """A batch: the student's logits (B, C), its tokens' embeddings (B, T, width) and these as features at 16 positions
    (B, 16, D), the labels (B,); and of every teacher its logits (B, C), features (B, 16, D_m), and what its classifier
    reads (B, P_m)."""

    logits: Tensor
    embeddings: Tensor
    features: Tensor
    y: Tensor
    told: list[Tensor]
    known: list[Tensor]
    pooled: list[Tensor]


class Sizes(NamedTuple):
    """D, every teacher's D_m, and C."""

    student: int
    teachers: Sequence[int]
    classes: int


class Method(nn.Module, ABC):
    """Losses by name, beside the label's; `labels` is what the label's own loss counts: 1 − λ where answers count λ."""

    def __init__(self, recipe: StudentConfig, labels: float) -> None:
        super().__init__()
        self.recipe, self.labels = recipe, labels

    @abstractmethod
    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """Scalars to be added up."""

    def coefficients(self) -> dict[str, float]:
        """What teachers count by now, where that moves: to be drawn over epochs."""
        return {}

    def finish(self, part: Part, bias: Tensor) -> None:
        """What that part of the student takes over when training is done, and the student's bias."""


class Answers(Method):
    """KD, EBKD: the teachers' answers, each with its weight."""

    def __init__(self, recipe: StudentConfig, by_entropy: bool = False) -> None:
        super().__init__(recipe, 1 - recipe.distil)
        self.by_entropy = by_entropy

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """λ T² Σ w_m KL(T_m ‖ S)."""
        weights = entropy_weights(seen.told) if self.by_entropy else equal_weights(seen.told)
        return {"answers": self.recipe.distil * (weights * _apart(seen, self.recipe.temperature)).sum(1).mean()}


class Correlation(Method):
    """DIST."""

    def __init__(self, recipe: StudentConfig) -> None:
        super().__init__(recipe, 1 - recipe.distil)

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """λ times the mean over teachers."""
        parts = [correlation_distance(seen.logits, told, self.recipe.temperature) for told in seen.told]
        return {"answers": self.recipe.distil * torch.stack(parts).mean()}


class Featured(Method):
    """Answers, and features that a regressor a teacher brings near to its own."""

    def __init__(self, recipe: StudentConfig, sizes: Sizes) -> None:
        super().__init__(recipe, 1 - recipe.distil)
        self.regress = nn.ModuleList(Regressor(sizes.student, size) for size in sizes.teachers)

    def gaps(self, seen: Seen) -> Tensor:
        """Squared differences from every teacher's pooled features, (B, M)."""
        pooled = seen.features.mean(1)
        parts = zip(self.regress, seen.known, strict=True)
        return torch.stack([feature_distance(regress(pooled), known.mean(1)) for regress, known in parts], dim=1)


class Confidence(Featured):
    """CA-MKD: each teacher by how right it is."""

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """λ T² Σ w_m KL, and Σ w_m of squared differences of features."""
        weights = confidence_weights(seen.told, seen.y)
        return {
            "answers": self.recipe.distil * (weights * _apart(seen, self.recipe.temperature)).sum(1).mean(),
            "features": self.recipe.hint * (weights * self.gaps(seen)).sum(1).mean(),
        }


class Reinforced(Featured):
    """MTKD-RL. The agent's weights carry no gradient; it learns by its own loss, from how the student did."""

    def __init__(self, recipe: StudentConfig, sizes: Sizes) -> None:
        super().__init__(recipe, sizes)
        self.agent = Agent(sizes.teachers, sizes.classes)

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """Weighed answers and features, and the policy's loss."""
        pooled = seen.features.mean(1)
        states = [
            agent_state(seen.logits, regress(pooled), told, known.mean(1), seen.y, self.recipe.temperature)
            for regress, told, known in zip(self.regress, seen.told, seen.known, strict=True)
        ]
        with torch.no_grad():
            of_answers, of_features = self.agent(states)
        answers = (of_answers * _apart(seen, self.recipe.temperature)).mean(1)
        features = AGENT_WEIGHT * (of_features * self.gaps(seen)).mean(1)
        wrong = F.cross_entropy(seen.logits, seen.y, reduction="none")
        reward = -(wrong + answers + self.recipe.hint * features).detach()
        return {
            "answers": self.recipe.distil * answers.mean(),
            "features": self.recipe.hint * features.mean(),
            "agent": self.agent.loss(states, reward),
        }


class Alike(Method):
    """AT and SP: a loss of features by themselves."""

    def __init__(self, recipe: StudentConfig, of: DistilMethod) -> None:
        super().__init__(recipe, 1.0)
        self.of = of

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """Mean over teachers."""
        if self.of == "at":
            parts = torch.stack([attention_transfer(seen.features.mT, known.mT) for known in seen.known])
            return {"features": self.recipe.hint * AT_WEIGHT * parts.mean()}
        return {"features": self.recipe.hint * SP_WEIGHT * similarity_preserving(seen.features, seen.known).mean()}


class Contrast(Method):
    """DCD."""

    def __init__(self, recipe: StudentConfig, sizes: Sizes) -> None:
        super().__init__(recipe, 1.0)
        self.losses = nn.ModuleList(DiscriminativeConsistent(sizes.student, size) for size in sizes.teachers)

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """Mean over teachers."""
        pooled = seen.features.mean(1)
        parts = [loss(pooled, known.mean(1)) for loss, known in zip(self.losses, seen.known, strict=True)]
        return {"features": self.recipe.hint * torch.stack(parts).mean()}


class Reused(Method):
    """SimKD: tokens add up to what the teacher's classifier reads, and that classifier is taken over as it is.

    A sum of tokens and then one matrix, so contributions still add up to the label. Labels are not looked at.
    """

    def __init__(self, recipe: StudentConfig, part: Part, classifier: nn.Linear, wanted: int) -> None:
        super().__init__(recipe, 0.0)
        self.counts, self.share = part.layout.counts, part.share
        self.regress = nn.ModuleList(Regressor(head.in_features, wanted) for head in part.heads)
        # In a tuple, so that the teacher's is neither trained nor saved here.
        self.classifier = (classifier,)

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """Squared difference from what the teacher's classifier reads, of the first teacher."""
        parts = seen.embeddings.split(self.counts, dim=1)
        said = [s * one(p).sum(1) for s, one, p in zip(self.share, self.regress, parts, strict=True)]
        return {"features": feature_distance(torch.stack(said).sum(0), seen.pooled[0]).mean()}

    @torch.no_grad()
    def finish(self, part: Part, bias: Tensor) -> None:
        """Heads = the teacher's classifier after the regressors."""
        (classifier,) = self.classifier
        for head, one in zip(part.heads, self.regress, strict=True):
            assert isinstance(one, Regressor)
            head.weight.copy_(classifier.weight @ one.linear.weight)
            head.bias.copy_(classifier.weight @ one.linear.bias)
        bias.copy_(classifier.bias)


class Workspace(Method):
    """mGLW: teachers write into slots, the student reads them; α by how far its map is from theirs.

    A student with a reader of its own has it remember the slots, and shares the cross-attention.
    """

    def __init__(
        self, recipe: StudentConfig, workspace: WorkspaceConfig, sizes: Sizes, reader: SlotReader | None = None
    ) -> None:
        super().__init__(recipe, 1 - recipe.distil)
        self.config = w = workspace
        self.teachers = nn.ModuleList(Stream(POSITIONS, size, POSITIONS, w.dim) for size in sizes.teachers)
        self.student = Stream(POSITIONS, sizes.student, POSITIONS, w.dim)
        self.slots = SlotAttention(w.dim, len(sizes.teachers), w.slots, w.rounds)
        self.reader = reader
        self.read = StudentCrossAttention(w.dim, w.heads) if reader is None else reader.read
        self.alpha = DynamicCoefficients(len(sizes.teachers), w.orientation)
        self.head = nn.Linear(w.dim, sizes.classes)

    def forward(self, seen: Seen) -> dict[str, Tensor]:
        """Answers by α, the workspace's own labels, alignment of maps, similarity of features."""
        slots, kis = self.slots([stream(k) for stream, k in zip(self.teachers, seen.known, strict=True)])
        if self.reader is not None:
            self.reader.remember(slots)
        tokens, kts = self.read(self.student(seen.features), slots)
        alpha = self.alpha(kts, kis)
        return {
            "answers": self.recipe.distil * (_apart(seen, self.recipe.temperature) @ alpha).mean(),
            "workspace": F.cross_entropy(self.head(tokens.mean(1)), seen.y, label_smoothing=self.recipe.smoothing),
            "align": self.config.align * alignment(kts, kis),
            "similarity": self.config.similarity * similarity_preserving(seen.features, seen.known).mean(),
        }

    def coefficients(self) -> dict[str, float]:
        """The workspace's α of every teacher."""
        return {f"alpha_{i}": value for i, value in enumerate(self.alpha.average.tolist())}


def make_method(
    recipe: StudentConfig, workspace: WorkspaceConfig, part: Part, reader: nn.Module | None,
    knowledge: Sequence[Knowledge],
) -> Method:
    """The configured one, for a part of the student. Raises BadInput if it cannot learn from these teachers."""
    name, head = recipe.method, part.heads[0]
    sizes = Sizes(
        len(part.heads) * head.in_features, [k.tokens.shape[-1] for k in knowledge], head.out_features
    )
    if name == "simkd":
        if knowledge[0].classifier is None:
            raise BadInput("--student.method simkd takes over the first teacher's classifier; name a net first")
        return Reused(recipe, part, knowledge[0].classifier, knowledge[0].pooled.shape[-1])
    if name in ("kd", "ebkd"):
        return Answers(recipe, by_entropy=name == "ebkd")
    if name in ("at", "sp"):
        return Alike(recipe, name)
    if name == "dist":
        return Correlation(recipe)
    if name == "dcd":
        return Contrast(recipe, sizes)
    if name == "camkd":
        return Confidence(recipe, sizes)
    if name == "mtkd-rl":
        return Reinforced(recipe, sizes)
    return Workspace(recipe, workspace, sizes, reader if isinstance(reader, SlotReader) else None)


def _apart(seen: Seen, temperature: float) -> Tensor:
    """T² KL of every teacher, (B, M)."""
    return torch.stack([divergence(seen.logits, told, temperature) for told in seen.told], dim=1)
