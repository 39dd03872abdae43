"""The student as one would deploy it: its recipe for both data sets, as far as search.py has come, trained and exported
as a user does."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from additive import DATA
from disturbed import FOREARM

from mmvq_bridge.files import atomic
from mmvq_export.export import export_run
from mmvq_train.config import Config, PieceView, StudentConfig, TeachersConfig
from mmvq_train.data import Dataset
from mmvq_train.pipeline import train
from mmvq_train.rundir import resume_run, start_run

RUNS: Final = Path("runs/accuracy")  # where accuracy.py leaves models
VIEWS: Final[tuple[PieceView, ...]] = ("axes", "gravity", "rhythm")
# Teachers taught nothing that these did not know (docs/distillation.md).
STUDENT: Final[dict[str, Config]] = {
    name: replace(
        config, pieces=replace(config.pieces, views=VIEWS), teachers=TeachersConfig(use=("none",)),
        student=StudentConfig(width=64, embedding=8, epochs=24, mixed=8, forearm=FOREARM[name]),
    )
    for name, config in DATA.items()
}


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
