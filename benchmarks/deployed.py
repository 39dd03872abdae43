"""The student as one would deploy it: its recipe for both data sets, as search.py found it, trained and exported as a
user does."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from additive import DATA
from common import slug
from search import FORMS, NOISE, PARTS, form

from mmvq_bridge.files import atomic
from mmvq_export.export import export_run
from mmvq_train.config import Config, TeachersConfig
from mmvq_train.data import Dataset
from mmvq_train.pipeline import train
from mmvq_train.rundir import resume_run, start_run

RUNS: Final = Path("runs/accuracy")  # where accuracy.py leaves models
CHOSEN: Final = {  # of search.FORMS
    "wisdm_watch": "axes, gravity, rhythm, three lengths, longer",
    "selfback_wrist": "axes and gravity, longer",
}
SEEDS: Final = {"mmvq": 0, "mmvq, seed 1": 1, "mmvq, seed 2": 2}  # rows of accuracy.py; the first is the headline
FAST: Final = dict.fromkeys(CHOSEN, "axes, three lengths, longer")  # about as fast as WRN16-1


def recipe(name: str, chosen: dict[str, str] = CHOSEN) -> Config:
    """Of a data set: its form, with noise, without teachers, who taught nothing that this student did not know
    (docs/distillation.md)."""
    config = form([PARTS[part] for part in FORMS[chosen[name]]], name, DATA[name])
    student = replace(config.student, **NOISE)
    return replace(config, student=student, teachers=TeachersConfig(use=("none",)))


def student_of(name: str, fold: int) -> Path | None:
    """Run of the student that accuracy.py left of a data set's fold, of the first of the seeds that is there."""
    runs = [RUNS / f"{name}-{fold}-{slug(row)}" for row in SEEDS]
    return next((run for run in runs if (run / "student.onnx").exists()), None)


def exported(config: Config, data: Dataset, run: Path) -> bytes:
    """The int8 file that mmvq-train and mmvq-export make, kept as run/student.onnx; goes on with a run begun before."""
    if (run / "config.yaml").exists():
        config, run = resume_run(str(run))
    else:
        run = start_run(replace(config, out=str(run)))
    train(config, data, run)
    file = export_run(run, "int8", "x86", 1).data([])
    with atomic(run / "student.onnx") as part:
        part.write_bytes(file)
    return file
