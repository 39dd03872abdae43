"""What each way of learning from teachers is worth: the same student, the same trainer, the same number of epochs.

    python benchmarks/distillation.py ../shared/data                # people of fold 0: writes results/distillation.json
    python benchmarks/distillation.py ../shared/data --fold 1       # trained without fold 0's people: to choose by

Of each data set and seed the codebook and the teachers are trained once and shared by all rows. A row is a run
directory in runs/distillation (mmvq-train's own, so it has every figure and is gone on with when interrupted) and a
file in results/distillation. Two processes may work on a data set each (name it).
"""

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from additive import DATA, windows
from common import RESULTS, commit, paired_over_people, write_result

from mmvq_bridge.command import say
from mmvq_train.config import Config, StudentConfig, TeachersConfig
from mmvq_train.data import Dataset, load_dataset
from mmvq_train.pipeline import train
from mmvq_train.rundir import start_run, write_json

SEEDS = 3
CALIBRATING = 6  # every so many of the training people calibrates, where folds do not say who
RUNS = Path("runs/distillation")
TWO, THREE = ("signal", "persistence"), ("signal", "persistence", "gramian")


@dataclass(frozen=True)
class Row:
    """Which teachers, and what differs from the configuration."""

    use: tuple[str, ...]
    student: dict[str, Any]
    workspace: dict[str, Any]


def _row(*use: str, method: str = "kd", workspace: dict[str, Any] | None = None, **student: Any) -> Row:
    return Row(use, {"method": method} | student, workspace or {})


ROWS: dict[str, Row] = {
    "from scratch": _row("none"),
    "self-distillation": _row("self"),
    "KD": _row("signal"),
    "AT": _row("signal", method="at"),
    "SP": _row("signal", method="sp"),
    "SimKD": _row("signal", method="simkd"),
    "DIST": _row("signal", method="dist"),
    "DCD": _row("signal", method="dcd"),
    "KD, random teacher": _row("random-signal"),
    "plain average": _row(*TWO),
    "EBKD": _row(*TWO, method="ebkd"),
    "CA-MKD": _row(*TWO, method="camkd"),
    "MTKD-RL": _row(*TWO, method="mtkd-rl"),
    "workspace": _row(*TWO, method="workspace"),
    "workspace, the nearer teacher more": _row(*TWO, method="workspace", workspace={"orientation": "near"}),
    "workspace, equal coefficients": _row(*TWO, method="workspace", workspace={"orientation": "equal"}),
    "workspace, annealed": _row(*TWO, method="workspace", anneal=0.3),
    "workspace, three teachers": _row(*THREE, method="workspace"),
    "workspace, three teachers and the codebook": _row(*THREE, "codebook", method="workspace"),
}
TRAINING: dict[str, Config] = {
    "wisdm_watch": replace(
        DATA["wisdm_watch"], student=StudentConfig(width=192, epochs=16),
        teachers=TeachersConfig(width=2, epochs=12),
    ),
    "selfback_wrist": replace(
        DATA["selfback_wrist"], student=StudentConfig(width=192, epochs=24),
        teachers=TeachersConfig(width=2, epochs=20),
    ),
}


def main() -> None:
    folder, fold = Path(sys.argv[1]), int(sys.argv[sys.argv.index("--fold") + 1]) if "--fold" in sys.argv else 0
    torch.set_num_threads(1)
    for name in [name for name in TRAINING if name in sys.argv] or TRAINING:
        config = replace(
            TRAINING[name], fold=fold, data=str(folder / name / f"{name}.parquet"),
            split=str(folder / name / "splits.json"),
        )
        data = dataset(config)
        for seed in range(SEEDS if fold == 0 else 1):
            for row, how in ROWS.items():
                if made(replace(config, seed=seed), data, name, row, how) and fold == 0:
                    write()


def dataset(config: Config) -> Dataset:
    """Cut and split; people of fold 0 train nothing that another fold tests."""
    data = load_dataset(config)
    if config.fold == 0:
        return data
    _, ours, test = windows(config, str(config.fold), "0")
    held = np.isin(ours.subject, sorted(set(ours.subject.tolist()))[::CALIBRATING])
    return replace(data, train=ours.some(~held), calibrate=ours.some(held), test=test)


def made(config: Config, data: Dataset, name: str, row: str, how: Row) -> bool:
    """The row of one way, unless it is there; whether it was made."""
    slug = f"{config.seed}-{row.lower().replace(', ', '-').replace(' ', '-')}"
    path = RESULTS / "distillation" / name / f"{slug}.json"
    shared = RUNS / f"{name}-{config.fold}-{config.seed}"
    run = shared / slug
    if (path if config.fold == 0 else run / "metrics.json").exists():
        return False
    config = replace(
        config, out=str(run), teachers=replace(config.teachers, use=how.use),
        student=replace(config.student, **how.student), workspace=replace(config.workspace, **how.workspace),
    )
    if not (run / "config.yaml").exists():
        start_run(config)
    copied(shared, run)
    metrics = train(config, data, run)
    copied(run, shared)
    say(f"== {name}, fold {config.fold}, seed {config.seed}, {row}: macro-F1 {metrics['test']['macro_f1']:.4f}")
    if config.fold == 0:
        write_json(path, {"row": row, "seed": config.seed, "commit": commit()} | shown(metrics))
    return True


def copied(source: Path, target: Path) -> None:
    """Codebook and teachers, from one run to another that lacks them."""
    for part in [source / "codebook.safetensors", *(source / "teachers").glob("*.safetensors")]:
        copy = target / part.relative_to(source)
        if part.exists() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(part, copy)


def shown(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of a run's metrics, what the tables need."""
    return {
        "macro_f1": metrics["test"]["macro_f1"], "per_subject": metrics["test"]["per_subject"],
        "teachers": {name: found["macro_f1"] for name, found in metrics["teachers"].items()},
        "explanation": metrics["explanation"], "shape_error": metrics["codebook"]["shape_error"],
        "student_seconds": metrics["seconds"]["student"],
    }


def write() -> None:
    """results/distillation.json of all rows that are there."""
    found = {}
    for folder in sorted(path for path in (RESULTS / "distillation").iterdir() if path.is_dir()):
        rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        by_row = {name: [row for row in rows if row["row"] == name] for name in ROWS}
        found[folder.name] = {name: summed(some, by_row["from scratch"]) for name, some in by_row.items() if some}
    write_result("distillation", 0, {"test": "people of fold 0; everybody else trains", "data": found})


def summed(rows: list[dict[str, Any]], scratch: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and what was gained over the same student from scratch, paired over people."""
    alone = {row["seed"]: row["per_subject"] for row in scratch}
    pairs = [(row["per_subject"], alone[row["seed"]]) for row in rows if row["seed"] in alone]
    return {
        "macro_f1": float(np.mean([row["macro_f1"] for row in rows])),
        "macro_f1_per_seed": {str(row["seed"]): row["macro_f1"] for row in rows},
        "gained_over_scratch_95_over_people": paired_over_people(*zip(*pairs, strict=True)) if pairs else None,
        "deletion_named_wins": float(np.mean([row["explanation"]["deletion_named_wins"] for row in rows])),
        "student_seconds": float(np.mean([row["student_seconds"] for row in rows])),
        "teachers": rows[0]["teachers"],
    }


if __name__ == "__main__":
    main()
