"""Stage 1: train the text-guided shape codebook, then freeze it.

Three phases (config: `alone`, `floor`, `settled`): shapes by themselves, until the codes are true pictures; then every
loss at once, with a floor under the shapes; then codes stand still, and what reads them learns them as they will be
published (readers of moving codes lag: docs/lab-log.md). Text is a target: what is evaluated takes the signal alone,
and is trained in this very step.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from mmvq_train.codebook.balancer import Balancer, Floor
from mmvq_train.codebook.fusion import Fused, divergence
from mmvq_train.codebook.losses import action_loss, alignment, balanced_loss, weighted_cross_entropy
from mmvq_train.codebook.model import ShapeCodebook
from mmvq_train.codebook.quantiser import Quantised
from mmvq_train.codebook.text import TextTargets
from mmvq_train.config import Config
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage
from mmvq_train.pieces import Layout, PieceValues


class CodebookStage(Stage):
    """The encoder gets a balanced update (each loss its share); decoders and heads their own plain gradients."""

    def __init__(
        self, config: Config, data: WindowSet, classes: int, targets: TextTargets | None, layout: Layout | None = None
    ) -> None:
        """`layout`: other pieces, or other channels, than the configuration's."""
        c, layout = config.codebook, layout or config.layout
        super().__init__(
            data, epochs=c.epochs, batch=c.batch, learning_rate=c.learning_rate, seed=config.seed,
            rotation_deg=10.0 if layout.channels == 3 else 0.0,  # what is not one sensor's axes cannot be turned
        )
        self.automatic_optimization = False
        torch.manual_seed(config.seed)
        self.model = ShapeCodebook(layout, c.size, c.dim, classes, targets, c.bend, c.fusion, c.method)
        self.recipe = c
        self.balancer = Balancer({
            "shape": c.shape, "whole": c.whole, "class": c.label,
            "action": c.action, "align": c.align, "fused": c.fused,
        })
        self.floor = Floor(c.floor)
        self.register_buffer("frequency", torch.bincount(data.y, minlength=classes) / len(data))

    def training_step(self, batch: Batch, _: int) -> None:
        """One step: heads from the sum of losses, the encoder from the balanced gradient at z."""
        model, c = self.model, self.recipe
        alone = self.current_epoch < round(c.alone * self.epochs)
        settled = self.current_epoch >= round((1 - c.settled) * self.epochs)
        for book in model.books():
            book.train(not settled)
        with torch.set_grad_enabled(not settled):
            pieces, z = model.encode(batch.x)
        joined = torch.cat(z, dim=1)
        meeting = joined.detach().requires_grad_(not settled)
        met = list(meeting.split(model.layout.counts, dim=1))
        quantised = model.quantise(met)
        features = model.features(pieces, [q.z for q in quantised])
        hidden = model.hidden(features, [q.codes for q in quantised])
        shape = torch.stack([
            (model.draw(i, q.z) - p.shape).square().mean(-1).mean()
            for i, (p, q) in enumerate(zip(pieces, quantised, strict=True))
        ]).mean()
        losses = {"shape": shape, "whole": F.mse_loss(model.rebuild(features, hidden), batch.x)}
        broken = self.floor.broken(shape, alone)
        heads = torch.zeros_like(shape)
        if not alone:
            losses["class"] = weighted_cross_entropy(model.logits(hidden), batch.y, self.get_buffer("frequency"))
            if model.text is not None:
                losses |= self._text_losses(batch, pieces, met, quantised, hidden)
                heads = heads + model.text.loss()
        optimiser, schedule = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimiser, LightningOptimizer) and isinstance(schedule, LRScheduler)
        optimiser.zero_grad()
        competing = {"shape": shape} if broken else losses
        balanced = None if settled else self.balancer.gradient(competing, meeting)
        self.manual_backward(heads + torch.stack(list(losses.values())).sum())
        if balanced is not None:
            # The commitment pulls z to its code where they meet; the straight-through losses do the rest.
            (pull,) = torch.autograd.grad(self._commitment(joined, quantised), joined, retain_graph=True)
            joined.backward(balanced + c.commitment * pull * balanced.norm() / pull.norm().clamp_min(1e-12))
        self.clip_gradients(optimiser.optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimiser.step()
        if balanced is not None:
            model.constrain()
        schedule.step()
        commitment = torch.stack([q.commitment for q in quantised]).mean()
        self.note(
            **{name: value.detach() for name, value in losses.items()}, commitment=commitment.detach(),
            broken=float(broken),
        )

    def _text_losses(
        self, batch: Batch, pieces: list[PieceValues], z: list[Tensor], quantised: list[Quantised], hidden: list[Tensor]
    ) -> dict[str, Tensor]:
        """Sub-action target, alignment of window and label text, and the labels that the fusion's branches tell."""
        model, c = self.model, self.recipe
        assert model.text is not None
        losses = {"align": alignment(model.pooled(hidden), model.text.labels()[batch.y], batch.y)}
        fused = self._fused(batch, quantised) if model.fusion is not None else None
        if fused is not None:
            frequency = self.get_buffer("frequency")
            losses["fused"] = weighted_cross_entropy(fused.signal, batch.y, frequency) + weighted_cross_entropy(
                fused.text, batch.y, frequency
            )
        said = []
        if c.method in ("code", "both"):
            said.append(model.code_action_logits(hidden))
        if c.method in ("token", "both"):
            said.append(model.token_action_logits(pieces, z))
        allowed = model.text.membership[batch.y] > 0
        losses["action"] = torch.stack([self._action(logits, allowed, fused) for logits in said]).sum()
        return losses

    def _action(self, logits: Tensor, allowed: Tensor, fused: Fused | None) -> Tensor:
        if self.recipe.target == "balanced":
            return balanced_loss(logits, allowed)
        if self.recipe.target == "candidate" or fused is None:
            return action_loss(logits, allowed)
        # A token looks by each of its streams; its target is what they look at on average, of the sub-actions alone.
        looks = fused.attention.detach()[..., : logits.shape[-1]].unflatten(1, (-1, self.model.layout.streams)).mean(2)
        return divergence(logits, looks / looks.sum(-1, keepdim=True).clamp_min(1e-9))

    def _fused(self, batch: Batch, quantised: list[Quantised]) -> Fused:
        """The window's tokens, stream by stream, with the sub-actions and the texts of its label."""
        model = self.model
        assert model.text is not None and model.fusion is not None
        own = F.one_hot(batch.y, len(model.text.activities)) > 0
        allowed = torch.cat([model.text.membership[batch.y] > 0, own], dim=1)
        texts = torch.cat([model.text.entries, model.text.activities])
        fused: Fused = model.fusion(torch.cat([q.z.flatten(1, 2) for q in quantised], dim=1), texts, allowed)
        return fused

    def _commitment(self, joined: Tensor, quantised: list[Quantised]) -> Tensor:
        chosen = [book.codes[q.codes] for book, q in zip(self.model.books(), quantised, strict=True)]
        return F.mse_loss(joined, torch.cat(chosen, dim=1))
