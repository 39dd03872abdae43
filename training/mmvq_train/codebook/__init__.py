"""Stage 1: shape codes guided by text."""

from mmvq_train.codebook.model import ShapeCodebook
from mmvq_train.codebook.stage import CodebookStage
from mmvq_train.codebook.text import TextTargets, controlled

__all__ = ["CodebookStage", "ShapeCodebook", "TextTargets", "controlled"]
