"""What each way of learning from teachers is worth: the same student, the same trainer, the same number of epochs.

    python benchmarks/distillation.py ../shared/data                # people of fold 0: writes results/distillation.json
    python benchmarks/distillation.py ../shared/data --fold 1       # trained without fold 0's people: to choose by

Of each data set and seed the codebook and the teachers are trained once and shared by all rows. A row is a run
directory in runs/distillation (mmvq-train's own, so it is gone on with when interrupted; `mmvq-train --resume` adds
figures and report) and a file in results/distillation. Two processes may work on a data set each (name it).
"""

import gc
import json
import shutil
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from additive import DATA, windows
from common import RESULTS, asked, commit, data_folder, paired_over_people, slug, write_result

from mmvq_bridge.command import say
from mmvq_train.compare import compare
from mmvq_train.config import Config, StudentConfig, TeachersConfig
from mmvq_train.data import Dataset, WindowSet, load_dataset
from mmvq_train.evaluate import accuracy, explanation_figures, judge
from mmvq_train.pipeline import Learnt, learn
from mmvq_train.rundir import start_run, write_json
from mmvq_train.student.teacher import SelfTeacher
from mmvq_train.teachers import Knowledge, Teacher

SEEDS = 3
CALIBRATING = 6  # every so many of the training people calibrates, where folds do not say who
RUNS = Path("runs/distillation")
NOISE_G = 0.1  # of the figure in the table
SIGNAL = "signal:16-2"
TWO, THREE = (SIGNAL, "persistence"), (SIGNAL, "persistence", "gramian")
CHOSEN = (SIGNAL, "gramian", "self")  # by inner splits (docs/lab-log.md)


@dataclass(frozen=True)
class Row:
    """Which teachers, what differs from the configuration, and whether they also judge the first halves of the test
    people's recordings, whose labels nobody sees."""

    use: tuple[str, ...]
    student: dict[str, Any]
    workspace: dict[str, Any]
    unlabelled: bool


def _row(
    *use: str, method: str = "kd", workspace: dict[str, Any] | None = None, unlabelled: bool = False, **student: Any
) -> Row:
    return Row(use, {"method": method} | student, workspace or {}, unlabelled)


CLAIMS: dict[str, Row] = {  # what the claims are about; each table is made of all seeds before the next
    "from scratch": _row("none"),
    "self-distillation": _row("self"),
    "KD": _row(SIGNAL),
    "average of signal, Gramian and self": _row(*CHOSEN),
    "self-distillation, unlabelled halves": _row("self", unlabelled=True),
    "KD, unlabelled halves": _row(SIGNAL, unlabelled=True),
    "average of signal, Gramian and self, unlabelled halves": _row(*CHOSEN, unlabelled=True),
}
METHODS: dict[str, Row] = CLAIMS | {
    "plain average of three": _row(*THREE),
    "plain average of three, unlabelled halves": _row(*THREE, unlabelled=True),
    "workspace, three teachers": _row(*THREE, method="workspace"),
    "workspace": _row(*TWO, method="workspace"),
    "workspace, slots frozen into the student": _row(*TWO, method="workspace", workspace={"frozen": True}),
    "plain average": _row(*TWO),
    "EBKD": _row(*TWO, method="ebkd"),
    "CA-MKD": _row(*TWO, method="camkd"),
    "MTKD-RL": _row(*TWO, method="mtkd-rl"),
    "AT": _row(SIGNAL, method="at"),
    "SP": _row(SIGNAL, method="sp"),
    "SimKD": _row(SIGNAL, method="simkd"),
    "DIST": _row(SIGNAL, method="dist"),
    "DCD": _row(SIGNAL, method="dcd"),
    "KD, random teacher": _row("random-signal:16-2"),
}
ROWS: dict[str, Row] = METHODS | {  # and what the workspace's parts are worth
    "workspace, the nearer teacher more": _row(*TWO, method="workspace", workspace={"orientation": "near"}),
    "workspace, equal coefficients": _row(*TWO, method="workspace", workspace={"orientation": "equal"}),
    "workspace without alignment": _row(*TWO, method="workspace", workspace={"align": 0.0}),
    "workspace without similarity": _row(*TWO, method="workspace", workspace={"similarity": 0.0}),
    "workspace, codes by least squares alone": _row(*TWO, method="workspace", follow=0),
    "workspace, annealed": _row(*TWO, method="workspace", anneal=0.3),
    "workspace, three teachers and the codebook": _row(*THREE, "codebook", method="workspace"),
}
# λ and the temperature by inner splits (docs/lab-log.md), for every row that has them.
ONE_VIEW: Final[dict[str, Any]] = {"width": 128, "embedding": 16, "mixed": 0}
TRAINING: dict[str, Config] = {
    "wisdm_watch": replace(
        DATA["wisdm_watch"], student=StudentConfig(**ONE_VIEW, epochs=12, temperature=1.0, distil=0.9),
        teachers=TeachersConfig(epochs=10, precision="bf16-mixed"),
    ),
    "selfback_wrist": replace(
        DATA["selfback_wrist"], student=StudentConfig(**ONE_VIEW, epochs=16, temperature=1.0, distil=0.9),
        teachers=TeachersConfig(epochs=14, precision="bf16-mixed"),
    ),
}


def main() -> None:
    folder, fold = data_folder(), int(sys.argv[sys.argv.index("--fold") + 1]) if "--fold" in sys.argv else 0
    torch.set_num_threads(1)
    for name in asked(TRAINING):
        config = replace(
            TRAINING[name], fold=fold, data=str(folder / name / f"{name}.parquet"),
            split=str(folder / name / "splits.json"),
        )
        data = dataset(config)
        for rows, seed in product((CLAIMS, METHODS, ROWS), range(SEEDS if fold == 0 else 1)):
            known: dict[str, Knowledge] = {}
            for row, how in rows.items():
                if made(replace(config, seed=seed), data, name, row, how, known) and fold == 0:
                    write()


def dataset(config: Config) -> Dataset:
    """Cut and split; people of fold 0 train nothing that another fold tests."""
    data = load_dataset(config)
    if config.fold == 0:
        return data
    _, ours, test = windows(config, str(config.fold), "0")
    held = np.isin(ours.subject, sorted(set(ours.subject.tolist()))[::CALIBRATING])
    return replace(data, train=ours.some(~held), calibrate=ours.some(held), test=test)


def made(
    config: Config, data: Dataset, name: str, row: str, how: Row, known: dict[str, Knowledge]
) -> bool:
    """The row of one way, unless it is there; whether it was made. known: what this seed's teachers said so far."""
    stem = f"{config.seed}-{slug(row)}"
    shared = RUNS / f"{name}-{config.fold}-{config.seed}"
    run = shared / stem
    path = RESULTS / "distillation" / name / f"{stem}.json" if config.fold == 0 else run / "row.json"
    if path.exists():
        return False
    config = replace(
        config, out=str(run), teachers=replace(config.teachers, use=how.use),
        student=replace(config.student, **how.student), workspace=replace(config.workspace, **how.workspace),
    )
    if not (run / "config.yaml").exists():
        start_run(config)
    copied(shared, run)
    before, (first, second) = set(known), halves(data.test)
    more = replace(data, unlabelled=data.test.x[first]) if how.unlabelled else data
    learnt = learn(config, more, run, known)
    copied(run, shared)
    new = {one: teacher for one, teacher in learnt.teachers.items() if one not in before}
    found = shown(learnt, new, data, second, config.seed)
    write_json(path, {"row": row, "seed": config.seed, "commit": commit()} | found)
    parts = ", ".join(f"{part.replace('_', ' ')} {found[part]['macro_f1']:.4f}" for part in ("all", "second_halves"))
    say(f"== {name}, fold {config.fold}, seed {config.seed}, {row}: macro-F1 {parts}")
    gc.collect()  # trainer and stage know each other and hold all copies of the windows: gigabytes after ten rows
    return True


def copied(source: Path, target: Path) -> None:
    """Codebook and teachers, from one run to another that lacks them."""
    for part in [source / "codebook.safetensors", *(source / "teachers").glob("*.safetensors")]:
        copy = target / part.relative_to(source)
        if part.exists() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(part, copy)


def halves(test: WindowSet) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the first and the second half of every person's time with every label; they share no sample."""
    rows: dict[tuple[str, int], list[int]] = {}
    for i, key in enumerate(zip(test.subject.tolist(), test.y.tolist(), strict=True)):
        rows.setdefault(key, []).append(i)  # in order of time; a window overlaps its neighbours by half
    first = [i for own in rows.values() for i in own[: len(own) // 2 - 1]]
    second = [i for own in rows.values() for i in own[len(own) // 2 + 1 :]]
    return np.array(first), np.array(second)


def shown(
    learnt: Learnt, new: dict[str, Teacher], data: Dataset, second: npt.NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """What the tables need. new: teachers that no earlier row had; second: rows of the second halves."""
    judged, classes = judge(learnt.student, data.test), len(data.labels)
    explained = explanation_figures(learnt.student, judged, data.test, learnt.text.targets.membership, seed)
    compared = compare({"student": SelfTeacher(learnt.student)} | new, data.test, classes, seed)
    rest = data.test.some(second)
    of_rest = accuracy(judged.logits[torch.from_numpy(second)].argmax(-1), rest, classes)
    return {
        **{
            part: {key: scored[key] for key in ("macro_f1", "per_subject", "windows")}
            for part, scored in (("all", compared["student"].accuracy), ("second_halves", of_rest))
        },
        "teachers": {
            name: {"macro_f1": compared[name].accuracy["macro_f1"], "seconds": learnt.seconds.get(f"teacher {name}")}
            for name in new
        },
        "deletion_named_wins": explained["deletion_named_wins"],
        "under_noise": compared["student"].disturbed["Gaussian noise"][NOISE_G],
        "student_seconds": learnt.seconds["student"],
    }


def write() -> None:
    """results/distillation.json of all rows that are there."""
    found = {}
    for folder in sorted(path for path in (RESULTS / "distillation").iterdir() if path.is_dir()):
        rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        by_row = {name: [row for row in rows if row["row"] == name] for name in ROWS}
        found[folder.name] = {
            "made": len(rows),
            "wanted": SEEDS * len(ROWS),
            "teachers": teachers(rows),
            "rows": {name: summed(some, by_row) for name, some in by_row.items() if some},
        }
    write_result("distillation", 0, {"test": "people of fold 0; everybody else trains", "data": found})


def summed(rows: list[dict[str, Any]], by_row: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Means over seeds. Of the windows whose first halves were seen without labels only the second halves tell."""
    means = ("deletion_named_wins", "under_noise", "student_seconds")
    told = {"second_halves": scores(rows, by_row, "second_halves")}
    if not ROWS[rows[0]["row"]].unlabelled:
        told["all"] = scores(rows, by_row, "all")
    return told | {key: float(np.mean([row[key] for row in rows])) for key in means}


def scores(rows: list[dict[str, Any]], by_row: dict[str, list[dict[str, Any]]], part: str) -> dict[str, Any]:
    """Macro-F1, of each seed and person, and what was gained over other rows, paired over people."""
    people = list(rows[0][part]["per_subject"])
    gained = {}
    for other in ("from scratch", "KD", "workspace"):
        beside = {row["seed"]: row[part]["per_subject"] for row in by_row[other]}
        pairs = [(row[part]["per_subject"], beside[row["seed"]]) for row in rows if row["seed"] in beside]
        if pairs:
            gained[other] = paired_over_people(*zip(*pairs, strict=True))
    return {
        "macro_f1": float(np.mean([row[part]["macro_f1"] for row in rows])),
        "macro_f1_per_seed": {str(row["seed"]): row[part]["macro_f1"] for row in rows},
        "per_subject": {who: float(np.mean([row[part]["per_subject"][who] for row in rows])) for who in people},
        "gained_95_over_people": gained,
    }


def teachers(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Each by itself, means over seeds; minutes of its training."""
    found: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        for name, one in row["teachers"].items():
            found.setdefault(name, []).append(one)
    told: dict[str, dict[str, float]] = {}
    for name, some in sorted(found.items()):
        told[name] = {"macro_f1": float(np.mean([one["macro_f1"] for one in some]))}
        # A row that was gone on with after a stop does not know how long an earlier one had trained its teacher.
        spent = [one["seconds"] for one in some if one["seconds"]]
        if spent:
            told[name]["minutes"] = float(np.mean(spent)) / 60
    return told


if __name__ == "__main__":
    main()
