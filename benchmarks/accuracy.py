"""The student and whatever one would use instead, on the same windows: every fold of both data sets, unseen people.

    python benchmarks/accuracy.py ../shared/data [SET ...] [ROW ...]      # needs mmvq[bench]

Writes results/accuracy/<set>/<fold>-<row>.json and results/accuracy.json of what is there; goes on if stopped. Nets and
the student are judged as the int8 files that one would deploy. Everybody but the tested fold's people trains; an eighth
of them are held out for temperatures (nets', the student's) and for the ridge's strength.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from additive import DATA, together
from aeon.transformations.collection.convolution_based import HydraTransformer, MiniRocket, MultiRocket
from blackbox import int8, probabilities, trained
from common import RESULTS, asked, commit, data_folder, slug, write_result
from deployed import CHOSEN, FAST, RUNS, SEEDS, exported, recipe, student_of
from disturbed import FOREARM, disturbed
from folds import Floats, Labels, People, calibration_error, counts, f1, interval, per_class, reliability
from handcrafted import handcrafted
from ridge import chosen_ridge
from search import NETS
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor
from vqshape import EVERY, NET, RECIPE

from mmvq_bridge.command import BadInput, say
from mmvq_bridge.files import atomic
from mmvq_export.gates import run_file
from mmvq_train.config import Config
from mmvq_train.data import Dataset, WindowSet, load_dataset
from mmvq_train.rundir import write_json
from mmvq_train.vqshape import pretrain, token_features
from mmvq_train.vqshape.probe import fitted_probe, standardised

FOLDS: Final = range(5)
Say = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Judge:
    """say: windows (N, W, 3) -> (N, classes), probabilities or, where `probable` is false, other scores. bytes: of the
    file that one would deploy, where there is one."""

    say: Say
    probable: bool = True
    bytes: int | None = None


@dataclass(frozen=True)
class Task:
    """A fold of a data set, and where a row may keep its files."""

    name: str
    config: Config
    data: Dataset
    run: Path

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.data.labels)

    @property
    def everybody(self) -> WindowSet:
        """All training people, held out or not."""
        return together(self.data.train, self.data.calibrate)


PART: Final = 1024  # windows whose random convolutions are made at once
ANSWERS: Final = 0.5  # what teachers' count beside labels
BEST_SO: Final[dict[str, dict[str, str]]] = {  # rows of search.py, where nets learn better than as its first ones do
    "wisdm_watch": {}, "selfback_wrist": {"WRN16-2": "WRN16-2, not mixed"},
}


def forest(task: Task) -> Judge:
    """500 trees on handcrafted features."""
    seen, rate = task.everybody, task.config.rate_hz
    model = RandomForestClassifier(500, min_samples_leaf=2, class_weight="balanced_subsample", random_state=0)
    model.fit(handcrafted(seen.x.numpy(), rate), seen.y.numpy())
    return Judge(lambda x: np.asarray(model.predict_proba(handcrafted(x, rate)), dtype=np.float32))


def rocket(kinds: Sequence[Callable[..., Any]], task: Task) -> Judge:
    """Random convolutions and a ridge, whose strength the held-out people choose."""
    fitted, seen = task.data.train, task.everybody  # who is fitted on comes first
    transforms = [kind(random_state=0, n_jobs=1).fit(_rows(fitted.x.numpy())) for kind in kinds]

    def features(x: Floats) -> Floats:
        found = [np.asarray(one.transform(_rows(x)), dtype=np.float32) for one in transforms]
        for i, one in enumerate(transforms):
            if isinstance(one, HydraTransformer):  # counts, evened out by a root as in its authors' classifier
                found[i] = np.sqrt(np.maximum(found[i], 0))
        return np.concatenate(found, axis=1)

    def parts(x: Floats) -> list[Floats]:
        return np.array_split(x, -(-len(x) // PART))

    # In place, as tens of thousands of features a window are gigabytes.
    found, scaler = np.concatenate([features(part) for part in parts(seen.x.numpy())]), StandardScaler(copy=False)
    for part in parts(found[: len(fitted)]):
        scaler.partial_fit(part)
    final = chosen_ridge(scaler.transform(found), seen.y.numpy(), len(fitted), task.classes)
    return Judge(
        lambda x: np.concatenate([final(scaler.transform(features(part))) for part in parts(x)]), probable=False
    )


def net(name: str, task: Task, answers: Tensor | None = None) -> Judge:
    """A black box as an int8 file, its temperature from the held-out people. answers: what others say of the training
    windows (N, classes), if it is to learn from these too."""
    box = NETS[BEST_SO[task.name].get(name, name)]
    how = replace(box.on(task.name), distil=0.0 if answers is None else ANSWERS)
    learnt = trained(box.net, task.data.train, task.classes, how, task.config.seed, task.run, answers)
    data = int8(learnt, task.data.train.x.numpy())
    with atomic(task.run / "net.onnx") as part:
        part.write_bytes(data)
    warmth = temperature(probabilities(data, task.data.calibrate.x.numpy()), task.data.calibrate.y.numpy())
    return Judge(lambda x: tempered(probabilities(data, x), warmth), bytes=len(data))


def taught(name: str, task: Task) -> Judge:
    """A black box that learns from a larger one and from mmvq too, both of the same fold, as the student could."""
    fold, windows = task.config.fold, task.data.train.x.numpy()
    larger, ours = RUNS / f"{task.name}-{fold}-{slug('WRN16-2')}" / "net.onnx", student_of(task.name, fold)
    if ours is None or not larger.exists():
        raise BadInput(f"{RUNS} has no WRN16-2 or no mmvq of {task.name}'s fold {fold} yet: run those rows first")
    said = [probabilities(path.read_bytes(), windows) for path in (larger, ours / "student.onnx")]
    return net(name, task, torch.from_numpy(np.mean(said, axis=0)))


def plain(task: Task) -> Judge:
    """VQShape as vqshape.py has it, pre-trained on these training people alone; its tokens in one linear layer."""
    seen = task.everybody
    model = pretrain(NET, seen.x[::EVERY].transpose(1, 2).flatten(0, 1), task.run, RECIPE)
    found = token_features(model, seen.x.transpose(1, 2))
    linear = fitted_probe(found, seen.y.numpy(), seen.subject)

    def probable(x: Floats) -> Floats:
        tokens = token_features(model, torch.from_numpy(x).transpose(1, 2))
        return np.asarray(linear.predict_proba(standardised(tokens, found)), dtype=np.float32)

    return Judge(probable)


def student(chosen: dict[str, str], seed: int, task: Task) -> Judge:
    """mmvq itself."""
    fold = {key: getattr(task.config, key) for key in ("data", "split", "fold")}
    config = replace(recipe(task.name, chosen), seed=seed, **fold)
    data = exported(config, load_dataset(config), task.run)  # its training windows may overlap otherwise
    return Judge(lambda x: np.asarray(run_file(data, x)["probabilities"]), bytes=len(data))


ROWS: Final[dict[str, Callable[[Task], Judge]]] = {
    "random forest": forest,
    "MiniRocket": partial(rocket, [MiniRocket]),
    "WRN16-1": partial(net, "WRN16-1"),
    "WRN16-2": partial(net, "WRN16-2"),
    "TinierHAR": partial(net, "TinierHAR"),
    **{row: partial(student, CHOSEN, seed) for row, seed in SEEDS.items()},
    "mmvq, one view": partial(student, FAST, 0),
    "WRN16-1, taught": partial(taught, "WRN16-1"),
    "MultiRocket-Hydra": partial(rocket, [MultiRocket, HydraTransformer]),
    "VQShape": plain,
    "WRN16-1, noisy": partial(net, "WRN16-1, noisy"),
    "WRN16-2, noisy": partial(net, "WRN16-2, noisy"),
}


def main() -> None:
    folder, names, rows = data_folder(), asked(DATA, ROWS), asked(ROWS, DATA)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in names:
            for row, fold in product(rows, FOLDS):
                config = replace(
                    DATA[name], data=str(folder / name / f"{name}.parquet"), split=str(folder / name / "splits.json"),
                    fold=fold,
                )
                path = RESULTS / "accuracy" / name / f"{fold}-{slug(row)}.json"
                if not path.exists():
                    task = Task(name, config, load_dataset(config), RUNS / f"{name}-{path.stem}")
                    write_json(path, {"row": row, "fold": fold, "commit": commit()} | judged(task, ROWS[row]))
                    say(f"== {path}")
                    write()


def _rows(x: Floats) -> Floats:
    """As aeon has them: (N, 3, W)."""
    return np.ascontiguousarray(x.transpose(0, 2, 1))


def judged(task: Task, how: Callable[[Task], Judge]) -> dict[str, Any]:
    """Train one row's judge and ask it about the test people's windows, as they are and disturbed. Without seconds
    where it was begun earlier or elsewhere."""
    start, begun = time.perf_counter(), task.run.exists()
    judge, test = how(task), task.data.test
    seconds, y = time.perf_counter() - start, test.y.numpy()
    said = judge.say(test.x.numpy())
    guess = said.argmax(1)
    people = {
        who: counts(y[test.subject == who], guess[test.subject == who], task.classes)
        for who in sorted(set(test.subject.tolist()))
    }
    return {
        "labels": list(task.data.labels), "windows": len(test), "seconds": None if begun else seconds,
        "bytes": judge.bytes, "people": people,
        "confusion": confusion_matrix(y, guess, labels=range(task.classes)).tolist(),
        "reliability": reliability(said, y) if judge.probable else None,
        "disturbed": {
            name: counts(
                np.tile(y, len(copies)), np.concatenate([judge.say(x).argmax(1) for x in copies]), task.classes
            )
            for name, copies in disturbed(test.x, FOREARM[task.name]).items()
        },
    }


def temperature(said: Floats, y: Labels) -> float:
    """The one that makes labels y likeliest under probabilities (N, classes), as calibrate.py finds the student's."""
    logits = torch.from_numpy(said).clamp_min(1e-12).log()
    grid = torch.logspace(-2, 3, 201, base=2.0)
    losses = torch.stack([F.cross_entropy(logits / t, torch.from_numpy(y)) for t in grid])
    return float(grid[losses.argmin()])


def tempered(said: Floats, warmth: float) -> Floats:
    """Probabilities at another temperature."""
    powered = np.maximum(said, 1e-12) ** (1 / warmth)
    return np.asarray(powered / powered.sum(1, keepdims=True), dtype=np.float32)


def write() -> None:
    """results/accuracy.json of all rows that are there."""
    found = {}
    for folder in sorted(path for path in (RESULTS / "accuracy").iterdir() if path.is_dir()):
        every = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        by_row = {row: [one for one in every if one["row"] == row] for row in ROWS}
        seeds = [rows for rows in map(by_row.get, SEEDS) if rows and len(rows) == len(by_row["mmvq"])]
        found[folder.name] = {
            "labels": every[0]["labels"],
            "rows": {row: pooled(some, [] if row in SEEDS else seeds) for row, some in by_row.items() if some},
            "mmvq_over_seeds": {
                "seeds": len(seeds), "macro_f1": interval([people_of(rows) for rows in seeds]) if seeds else None,
            },
        }
    write_result("accuracy", 0, {"test": "each fold's people by those of the other folds", "data": found})


def people_of(rows: list[dict[str, Any]]) -> People:
    """Counts of all folds' people."""
    return {who: own for row in rows for who, own in row["people"].items()}


def pooled(rows: list[dict[str, Any]], ours: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Folds in one. gained: by mmvq over this row, mean over mmvq's seeds `ours`, if any, on folds that both have,
    people drawn in pairs."""
    people = people_of(rows)
    both = [{who: own for who, own in people_of(seed).items() if who in people} for seed in ours]
    value, low, high = interval([people])
    took = [row["seconds"] / 60 for row in rows if row["seconds"] is not None]
    told: dict[str, Any] = {
        "folds": len(rows), "macro_f1": value, "interval_95_over_people": [low, high],
        "macro_f1_per_fold": {str(row["fold"]): f1(list(row["people"].values())) for row in rows},
        "per_subject": {who: f1([own]) for who, own in people.items()},
        "per_activity": per_class(list(people.values())),
        "gained_by_mmvq": interval(both, [{who: people[who] for who in both[0]}]) if both and both[0] else None,
        "lost_when": {
            name: value - f1([row["disturbed"][name] for row in rows]) for name in rows[0]["disturbed"]
        },
        "minutes": float(np.mean(took)) if took else None, "bytes": rows[0]["bytes"],
        "confusion": np.sum([row["confusion"] for row in rows], axis=0).tolist(),
    }
    if rows[0]["reliability"] is not None:
        told["expected_calibration_error"] = calibration_error([row["reliability"] for row in rows])
    return told


if __name__ == "__main__":
    main()
