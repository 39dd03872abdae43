"""VQShape's parts, each from tensors to tensors. B series, P patches, T tokens, d width.

Transformers are those of PyTorch (post-norm, GELU, feed-forward 4d). Positions are learned and belong to patches; the
tokens are told apart by their queries, and have no order in time.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.vqshape.config import VQShapeConfig
from mmvq_train.vqshape.series import take

CHANNELS = 128  # of the shape decoder
GROUPS = 16  # of its group norms


class PatchEncoder(nn.Module):
    """Patches (B, P, patch) -> (B, n, d): the n kept ones see each other; the rest is dropped before any attention."""

    def __init__(self, config: VQShapeConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.patch, config.width)
        self.position = nn.Parameter(torch.randn(config.patches, config.width))
        self.layers = self_attention(config, config.encoder_layers)

    def forward(self, patches: Tensor, keep: Tensor | None = None) -> Tensor:
        """keep: numbers (B, n) of the patches to see; all by default."""
        h = self.embed(patches) + self.position
        seen: Tensor = self.layers(h if keep is None else take(h, keep))
        return seen


class Tokenizer(nn.Module):
    """Encoded patches (B, n, d) -> tokens h (B, T, d): learned queries look at each other and at the patches."""

    def __init__(self, config: VQShapeConfig) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(config.tokens, config.width) / config.width)
        layer = nn.TransformerDecoderLayer(
            config.width, config.heads, 4 * config.width, config.dropout, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerDecoder(layer, config.tokenizer_layers)

    def forward(self, patches: Tensor) -> Tensor:
        """Tokens."""
        h: Tensor = self.layers(self.queries.expand(len(patches), -1, -1), patches)
        return h


class Attributes(NamedTuple):
    """z (B, T, code_dim) before quantising; t, length as shares of the series, μ, σ in its deviations, each (B, T)."""

    z: Tensor
    t: Tensor
    length: Tensor
    mu: Tensor
    sigma: Tensor


class AttributeDecoder(nn.Module):
    """h (B, T, d) -> Attributes. The heads have one hidden layer of d and run in float32.

    t = sig(a)(1 − 1/64), l = sig(b)(1 − t) + 1/64 (or the `inside` form), σ = softplus.
    """

    def __init__(self, config: VQShapeConfig) -> None:
        super().__init__()
        self.shortest, self.inside = config.shortest, config.length == "inside"
        self.z = two_layers(config.width, config.code_dim)
        self.place = two_layers(config.width, 2)
        self.mu = two_layers(config.width, 1)
        self.sigma = two_layers(config.width, 1)

    def forward(self, h: Tensor) -> Attributes:
        """Attributes of each token."""
        a, b = self.place(h).sigmoid().unbind(-1)
        t = a * (1 - self.shortest)
        room = 1 - t - self.shortest if self.inside else 1 - t
        length = b * room + self.shortest
        return Attributes(self.z(h), t, length, self.mu(h).squeeze(-1), F.softplus(self.sigma(h)).squeeze(-1))


class ShapeDecoder(nn.Module):
    """Codes (..., code_dim) -> shapes (..., points) of mean 0 and deviation 1.

    A linear map to points/16 columns, then convolutions, widened fourfold twice.
    """

    def __init__(self, config: VQShapeConfig) -> None:
        super().__init__()
        columns = config.points // 16
        self.layers = nn.Sequential(
            nn.Linear(config.code_dim, CHANNELS * columns),
            nn.Unflatten(-1, (CHANNELS, columns)),
            Residual(CHANNELS, CHANNELS),
            nn.GELU(),
            nn.Upsample(scale_factor=4.0),
            nn.Conv1d(CHANNELS, CHANNELS, 3, padding="same"),
            Residual(CHANNELS, CHANNELS // 2),
            nn.GELU(),
            nn.Upsample(scale_factor=4.0),
            nn.Conv1d(CHANNELS // 2, CHANNELS // 2, 3, padding="same"),
            nn.GELU(),
            nn.Conv1d(CHANNELS // 2, 1, config.smoothing, padding="same"),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Draw."""
        drawn = self.layers(z.reshape(-1, z.shape[-1])).float().view(*z.shape[:-1], -1)
        return (drawn - drawn.mean(-1, keepdim=True)) / (drawn.std(-1, keepdim=True) + 1e-8)


class Residual(nn.Module):
    """Two normalised convolutions beside a short cut: (N, channels, n) -> (N, out, n)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.long = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.GELU(), nn.Conv1d(channels, out, 3, padding="same"),
            nn.GroupNorm(GROUPS, out), nn.GELU(), nn.Conv1d(out, out, 3, padding="same"),
        )  # fmt: skip
        self.short = nn.Identity() if channels == out else nn.Conv1d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Both, added."""
        added: Tensor = self.short(x) + self.long(x)
        return added


class SeriesDecoder(nn.Module):
    """Tokens [z_q, t, l, μ, σ] (B, T, code_dim + 4) -> the series (B, samples), normalised: a share from each token.

    One summary token joins the attention, and is left out of the series (as published).
    """

    def __init__(self, config: VQShapeConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.token_size, config.width)
        self.summary = nn.Parameter(torch.randn(1, config.width) / config.width)
        self.layers = self_attention(config, config.decoder_layers)
        self.out = nn.Linear(config.width, config.samples // config.tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """Rebuild."""
        h = self.embed(tokens)
        h = self.layers(torch.cat([self.summary.expand(len(h), -1, -1).to(h.dtype), h], dim=1))
        rebuilt: Tensor = self.out(h[:, 1:]).float().flatten(1)
        return rebuilt


def two_layers(width: int, out: int) -> nn.Sequential:
    """The published MLP: one hidden layer as wide as the input."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


def self_attention(config: VQShapeConfig, layers: int) -> nn.TransformerEncoder:
    """Encoder layers of the configuration's width."""
    layer = nn.TransformerEncoderLayer(
        config.width, config.heads, 4 * config.width, config.dropout, activation="gelu", batch_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
