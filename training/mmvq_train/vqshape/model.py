"""VQShape (Wen, Ma, Weng, Nguyen, Julius: Abstracted Shapes as Tokens, NeurIPS 2024, arXiv 2411.01006), written anew.

- A series of one channel becomes patches, then tokens; each token is a shape: a code, where it lies and how long it is,
  its offset and scale.
- The code alone draws the shape; all tokens together rebuild the series. Neither moves the codes: the straight-through
  gradient passes them by.
- Instance normalisation takes posture and intensity out of the tokens. That is how it was published, and why it is a
  baseline here (DESIGN 4).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmvq_train.vqshape.config import VQShapeConfig
from mmvq_train.vqshape.drawing import draw
from mmvq_train.vqshape.layers import AttributeDecoder, Attributes, PatchEncoder, SeriesDecoder, ShapeDecoder, Tokenizer
from mmvq_train.vqshape.quantiser import GradientCodebook, Quantised
from mmvq_train.vqshape.series import Level, level_of, level_of_kept


class Output(NamedTuple):
    """What the net makes of series (B, samples)."""

    attributes: Attributes
    quantised: Quantised
    level: Level
    shapes: Tensor
    """Each token's shape with its offset and scale, in the signal's units, (B, T, points)."""
    series: Tensor
    """The series rebuilt from the tokens, in the signal's units, (B, samples)."""


class VQShape(nn.Module):
    """Encoder → tokenizer → attribute decoder → quantiser → shape decoder, series decoder."""

    def __init__(self, config: VQShapeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PatchEncoder(config)
        self.tokenizer = Tokenizer(config)
        self.attributes = AttributeDecoder(config)
        self.book = GradientCodebook(config.codes, config.code_dim)
        self.shapes = ShapeDecoder(config)
        self.decoder = SeriesDecoder(config)

    def forward(self, x: Tensor, keep: Tensor | None = None, level: Level | None = None) -> Output:
        """Tokens of x (B, samples) and what they rebuild.

        keep: the patches to see (B, n), all by default. level: what to normalise by; the whole series' own by default,
        also where patches are dropped (pre-training, as published): `complete` hides them entirely.
        """
        level = level or level_of(x)
        attributes, quantised = self.tokens((x - level.mean) / level.deviation, keep)
        shapes = draw(self.shapes, quantised, self.book.codes) * attributes.sigma[..., None] + attributes.mu[..., None]
        rebuilt = self.decoder(token_values(attributes, quantised))
        return Output(
            attributes,
            quantised,
            level,
            shapes * level.deviation[..., None] + level.mean[..., None],
            rebuilt * level.deviation + level.mean,
        )

    def tokens(self, normalised: Tensor, keep: Tensor | None = None) -> tuple[Attributes, Quantised]:
        """Tokens of normalised series (B, samples); without the decoders, for those who want no more."""
        h = self.tokenizer(self.encoder(normalised.unflatten(-1, (-1, self.config.patch)), keep))
        with torch.autocast(h.device.type, enabled=False):
            attributes: Attributes = self.attributes(h.float())
            quantised: Quantised = self.book(attributes.z)
        return attributes, quantised

    def complete(self, x: Tensor, keep: Tensor) -> Tensor:
        """The whole series (B, samples) from the kept patches (B, n) alone; the values of the others are not used."""
        output: Output = self(x, keep, level_of_kept(x, keep, self.config.patch))
        return output.series

    def code_shapes(self) -> Tensor:
        """The shape that each code draws, (K, points), of mean 0 and deviation 1."""
        drawn: Tensor = self.shapes(self.book.codes)
        return drawn


def token_values(attributes: Attributes, quantised: Quantised) -> Tensor:
    """[z_q, t, l, μ, σ] of each token, (B, T, code_dim + 4)."""
    rest = torch.stack([attributes.t, attributes.length, attributes.mu, attributes.sigma], dim=-1)
    return torch.cat([quantised.z, rest], dim=-1)
