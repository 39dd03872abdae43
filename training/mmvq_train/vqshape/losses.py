"""VQShape's losses, each as SYSTEMS 1 has it (arXiv 2411.01006, sections 3.2 and 3.3)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvq_train.vqshape.config import VQ, Recipe, VQShapeConfig
from mmvq_train.vqshape.model import Output
from mmvq_train.vqshape.series import crop


class Losses(NamedTuple):
    """Scalars: the weighted sum, and its parts before their weights."""

    total: Tensor
    x: Tensor
    z: Tensor
    s: Tensor
    div: Tensor


def vqshape_losses(output: Output, x: Tensor, config: VQShapeConfig, recipe: Recipe) -> Losses:
    """λ_x L_x + λ_z L_vq + λ_s L_s + λ_div L_div for what the net made of x (B, samples)."""
    attributes, quantised = output.attributes, output.quantised
    l_z = commitment(attributes.z, quantised.chosen, recipe.commitment, recipe.vq)
    if recipe.entropy > 0:
        l_z = l_z + recipe.entropy * code_entropy(quantised.distance, recipe.gamma, recipe.temperature)
    pieces = crop(x, attributes.t, attributes.length, config.points, config.smoothing)
    unit = output.level.deviation if recipe.scale == "normalised" else torch.ones_like(output.level.deviation)
    l_s = rebuilding(output.shapes, pieces if recipe.crop_gradient else pieces.detach(), unit[..., None])
    l_x = rebuilding(output.series, x, unit)
    l_div = position_diversity(attributes.t, attributes.length, config.shortest, recipe.margin)
    total = recipe.weight_x * l_x + recipe.weight_z * l_z + recipe.weight_s * l_s + recipe.weight_div * l_div
    return Losses(total, l_x, l_z, l_s, l_div)


def commitment(z: Tensor, chosen: Tensor, weight: float, form: VQ = "published") -> Tensor:
    """The distance between z (..., d) and its codes (..., d), for the encoder and for the codes.

    published:  mean (sg(e) − z)² + weight · mean (e − sg(z))²
    vq-vae:     mean (e − sg(z))² + weight · mean (sg(e) − z)²     (van den Oord et al. 2017, arXiv 1711.00937, eq. 3)
    """
    encoder, codes = F.mse_loss(z, chosen.detach()), F.mse_loss(chosen, z.detach())
    return encoder + weight * codes if form == "published" else codes + weight * encoder


def code_entropy(distance: Tensor, gamma: float, temperature: float) -> Tensor:
    """E[H(p)] − γ H(E[p]), p = softmax(−d/τ) over the codes; distance (..., K) squared, means over all tokens. Nats.

    Low when each token is sure of its code and all codes are used alike.
    """
    log_p = (-distance.flatten(0, -2) / temperature).log_softmax(-1)
    p = log_p.exp()
    sure = -(p * log_p).sum(-1).mean()
    return sure - gamma * torch.special.entr(p.mean(0).clamp_min(1e-12)).sum()


def rebuilding(drawn: Tensor, target: Tensor, unit: Tensor) -> Tensor:
    """Mean squared error, in `unit`s: L_x for series (B, samples), L_s for shapes (B, T, points)."""
    return ((drawn - target) / unit).square().mean()


def position_diversity(t: Tensor, length: Tensor, shortest: float, margin: float) -> Tensor:
    """mean_{i≠k} relu(margin − ‖u_i − u_k‖), u = (cos πt, sin πt) · log l / log shortest; t, length (B, T).

    Shapes should lie at different places or be of different lengths. The whole series (l = 1) has u = 0 wherever it
    begins, so the loss favours short shapes. (The paper's code also counts the zeros at i = k into the mean: T² instead
    of T(T − 1) pairs.)
    """
    radius = length.log() / math.log(shortest)
    angle = torch.pi * t
    u = torch.stack([angle.cos() * radius, angle.sin() * radius], dim=-1)
    # Nearly equal points are what this is about: not by way of their squares.
    near = F.relu(margin - torch.cdist(u, u, compute_mode="donot_use_mm_for_euclid_dist"))
    apart = ~torch.eye(t.shape[-1], dtype=torch.bool, device=t.device)
    return near[:, apart].mean()
