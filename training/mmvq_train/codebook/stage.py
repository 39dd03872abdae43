"""Stage 1: train the text-guided shape codebook, then freeze it."""

import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from mmvq_train.codebook.balancer import Balancer
from mmvq_train.codebook.losses import action_loss, alignment, weighted_cross_entropy
from mmvq_train.codebook.model import ShapeCodebook, TextTargets
from mmvq_train.codebook.quantiser import Quantised
from mmvq_train.config import Config
from mmvq_train.data import WindowSet
from mmvq_train.fitting import Batch, Stage


class CodebookStage(Stage):
    """The encoder gets a balanced update (each loss its share); decoders and heads their own plain gradients."""

    def __init__(self, config: Config, data: WindowSet, classes: int, targets: TextTargets | None) -> None:
        c = config.codebook
        super().__init__(data, epochs=c.epochs, batch=c.batch, learning_rate=c.learning_rate, seed=config.seed)
        self.automatic_optimization = False
        torch.manual_seed(config.seed)
        self.model = ShapeCodebook(config.layout, c.size, c.dim, classes, targets)
        self.commitment = c.commitment
        shares = {"shape": c.shape, "whole": c.whole, "class": c.label}
        if targets:
            shares |= {"action": c.action, "align": c.align}
        self.balancer = Balancer(shares)
        self.register_buffer("frequency", torch.bincount(data.y, minlength=classes) / len(data))

    def training_step(self, batch: Batch, _: int) -> None:
        """One step: heads from the sum of losses, the encoder from the balanced gradient at z."""
        model, counts = self.model, self.model.layout.counts
        pieces, z = model.encode(batch.x)
        joined = torch.cat(z, dim=1)
        meeting = joined.detach().requires_grad_()
        quantised = model.quantise(list(meeting.split(counts, dim=1)))
        features = model.features(pieces, quantised)
        hidden = model.hidden(features)
        shape = torch.stack([
            (model.decoder(q.z) - p.shape).square().mean(-1).mean() for p, q in zip(pieces, quantised, strict=True)
        ]).mean()
        losses: dict[str, Tensor] = {
            "shape": shape,
            "whole": F.mse_loss(model.rebuild(features, hidden), batch.x),
            "class": weighted_cross_entropy(model.logits(hidden), batch.y, self.get_buffer("frequency")),
        }
        if model.text is not None:
            allowed = model.text.membership[batch.y] > 0
            losses["action"] = action_loss(model.action_logits(features, quantised), allowed)
            losses["align"] = alignment(model.pooled(hidden), model.text.labels()[batch.y], batch.y)
        balanced = self.balancer.gradient(losses, meeting)
        commitment = torch.stack([q.commitment for q in quantised]).mean()
        heads = torch.stack(list(losses.values())).sum() + (model.text.loss() if model.text is not None else 0.0)

        optimiser, schedule = self.optimizers(), self.lr_schedulers()
        assert isinstance(optimiser, LightningOptimizer) and isinstance(schedule, LRScheduler)
        optimiser.zero_grad()
        self.manual_backward(heads)
        # The commitment pulls z to its code where they meet; the straight-through losses do the rest.
        (pull,) = torch.autograd.grad(self._commitment(joined, quantised), joined, retain_graph=True)
        joined.backward(balanced + self.commitment * pull * balanced.norm() / pull.norm().clamp_min(1e-12))
        self.clip_gradients(optimiser.optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimiser.step()
        model.encoder.constrain()
        schedule.step()
        self.note(**{name: value.detach() for name, value in losses.items()}, commitment=commitment.detach())

    def _commitment(self, joined: Tensor, quantised: list[Quantised]) -> Tensor:
        chosen = [book.codes[q.codes] for book, q in zip(self.model.books(), quantised, strict=True)]
        return F.mse_loss(joined, torch.cat(chosen, dim=1))
