"""Several teachers and a student meet in a few slots (mGLW: Hong et al., IEEE TNNLS 2025). In training, and
where wanted frozen into the student."""

from mmvq_train.workspace.maps import DynamicCoefficients, alignment, coefficients, map_distances
from mmvq_train.workspace.reader import SlotReader
from mmvq_train.workspace.slots import SlotAttention, Stream, StudentCrossAttention

__all__ = [
    "DynamicCoefficients",
    "SlotAttention",
    "SlotReader",
    "Stream",
    "StudentCrossAttention",
    "alignment",
    "coefficients",
    "map_distances",
]
