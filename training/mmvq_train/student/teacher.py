"""A student that learnt from labels alone, as teacher of the next one."""

from torch import Tensor

from mmvq_train.pieces import LaidInTime
from mmvq_train.student.model import Student
from mmvq_train.teachers import POSITIONS, Teacher


class SelfTeacher(Teacher):
    """Self-distillation (Furlanello et al., ICML 2018, arXiv 1805.04770): a student's labels, and its tokens'
    embeddings laid in time as features of one stage."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student, self.lay = student, LaidInTime(student.layout, POSITIONS)

    def forward(self, drawn: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Of windows (N, W, 3)."""
        out = self.student(drawn)
        return out.logits, (self.lay(out.embeddings).transpose(1, 2),)
