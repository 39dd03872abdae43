"""Stage 1: shape codes guided by text."""

from mmvq_train.codebook.model import ShapeCodebook, TextTargets
from mmvq_train.codebook.stage import CodebookStage

__all__ = ["CodebookStage", "ShapeCodebook", "TextTargets"]
