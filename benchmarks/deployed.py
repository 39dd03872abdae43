"""The student as one would deploy it: its recipe for both data sets, as search.py found it, trained and exported as a
user does."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from additive import DATA
from search import FORMS, PARTS, form

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
FAST: Final = dict.fromkeys(CHOSEN, "axes, three lengths, longer")  # about as fast as WRN16-1


def recipe(name: str, chosen: dict[str, str] = CHOSEN) -> Config:
    """Of a data set: its form, without teachers, who taught nothing that this student did not know
    (docs/distillation.md)."""
    parts = [PARTS[part] for part in FORMS[chosen[name]]]
    return replace(form(parts, name, DATA[name]), teachers=TeachersConfig(use=("none",)))


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
