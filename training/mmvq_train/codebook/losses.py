"""Losses of the text-guided codebook. Text is always a target, never an input (SYSTEMS 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvq_train.codebook.assign import balanced


def candidate_set(logits: Tensor, allowed: Tensor) -> Tensor:
    """−log Σ_{a∈A(y)} p_a, mean over tokens: which member it is stays open.

    logits (B, T, M); allowed bool (B, M), true for the sub-actions of the window's activity. A partial-label loss
    (Jin & Ghahramani 2002), finite where KL(p‖target) is not.
    """
    inside = logits.masked_fill(~allowed[:, None], float("-inf")).logsumexp(-1)
    return (logits.logsumexp(-1) - inside).mean()


def spread(logits: Tensor, allowed: Tensor) -> Tensor:
    """How unevenly a window's tokens use their activity's sub-actions: log|A| − entropy of the mean, in nats.

    Without it the candidate-set loss is content with one favourite per activity.
    """
    p = logits.masked_fill(~allowed[:, None], float("-inf")).softmax(-1).mean(1)
    entropy = -(p * p.clamp_min(1e-9).log()).sum(-1)
    return (allowed.sum(-1).clamp_min(1).log() - entropy).mean()


def sharpness(logits: Tensor) -> Tensor:
    """Mean entropy of a token's sub-action distribution, in nats: a token should settle on one."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1).mean()


def action_loss(logits: Tensor, allowed: Tensor) -> Tensor:
    """The sub-action target: inside the set, spread over it, each token settled (weights of the trial, SYSTEMS 6)."""
    return candidate_set(logits, allowed) + spread(logits, allowed) + 0.1 * sharpness(logits)


def balanced_loss(logits: Tensor, allowed: Tensor) -> Tensor:
    """Cross-entropy to what the model itself believes inside the set, evened out over its members (Sinkhorn)."""
    target = balanced(logits.detach(), allowed)
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1))


def supervised_contrast(a: Tensor, b: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss a→b (Khosla et al. 2020, arXiv 2004.11362), rows L2-normalised.

    a, b (N, D), labels (N,):  −1/N Σ_i 1/|P(i)| Σ_{p∈P(i)} log softmax_p(a_i·b_p/τ),  P(i): same label.
    """
    logits = a @ b.T / temperature
    same = (labels[:, None] == labels[None]).to(a.dtype)
    return -(same * logits.log_softmax(-1)).sum(-1).div(same.sum(-1)).mean()


def alignment(signal: Tensor, text: Tensor, labels: Tensor) -> Tensor:
    """Both directions of the contrast between windows (N, D) and the texts of their labels (N, D)."""
    signal, text = F.normalize(signal, dim=-1), F.normalize(text, dim=-1)
    return 0.5 * (supervised_contrast(signal, text, labels) + supervised_contrast(text, signal, labels))


def shape_error(shape: Tensor, decoded: Tensor, keep: Tensor) -> float:
    """1 − ρ² between pieces (..., 32) and decoded shapes (..., 32), mean over the pieces in `keep` (...) bool.

    0: every code draws its pieces exactly; 1: the drawing explains nothing.
    """
    a = shape - shape.mean(-1, keepdim=True)
    b = decoded - decoded.mean(-1, keepdim=True)
    rho = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-9)
    return float((1 - rho[keep].square()).mean()) if bool(keep.any()) else float("nan")


def weighted_cross_entropy(logits: Tensor, labels: Tensor, frequency: Tensor) -> Tensor:
    """Cross-entropy with classes weighted by the inverse root of their frequency (C,), as macro-F1 asks for."""
    weight = torch.where(frequency > 0, frequency.clamp_min(1e-9).rsqrt(), torch.zeros_like(frequency))
    return F.cross_entropy(logits, labels, weight / weight[frequency > 0].mean())
