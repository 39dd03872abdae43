"""Stage 2: nets whose judgement the student follows, each on its own view of a window."""

from mmvq_train.teachers.stage import (
    POSITIONS,
    CodebookTeacher,
    Knowledge,
    NetTeacher,
    Teacher,
    TeacherStage,
    knowledge_of,
    make_teacher,
)

__all__ = [
    "POSITIONS",
    "CodebookTeacher",
    "Knowledge",
    "NetTeacher",
    "Teacher",
    "TeacherStage",
    "knowledge_of",
    "make_teacher",
]
