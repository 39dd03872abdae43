"""Stage 3: the student, which sees the signal only and computes the label from its reasons."""

from mmvq_train.student.model import Student, StudentOutput
from mmvq_train.student.stage import Lessons, StudentStage

__all__ = ["Lessons", "Student", "StudentOutput", "StudentStage"]
