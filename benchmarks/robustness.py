"""Does the student know what it does not know? Activities that nobody taught it, on unseen people.

    python benchmarks/robustness.py ../shared/data [SET ...]     # writes results/robustness/, results/robustness.json

Three activities are left out of training and calibration, in turn until each was; fold 0's people are tested, all their
windows. How well the int8 file's unknown score tells the left-out activities' windows from the others (area under the
ROC curve, Mann-Whitney), beside one minus the largest probability; and what the threshold, fitted on held-out training
people, then says. Goes on if stopped. What a turned watch or noise costs is in accuracy.json.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from common import RESULTS, asked, commit, data_folder, write_result
from deployed import CHOSEN, exported, recipe
from sklearn.metrics import roc_auc_score

from mmvq_bridge.command import say
from mmvq_export.gates import run_file
from mmvq_run.metadata import parse_metadata
from mmvq_run.onnx_file import read_properties
from mmvq_train.data import Dataset, WindowSet, load_dataset
from mmvq_train.rundir import write_json

LEFT_OUT: Final = 3
FIGURES: Final = ("auroc", "auroc_of_largest_probability", "flagged_of_unknown", "flagged_of_known")
RUNS: Final = Path("runs/robustness")


def main() -> None:
    folder = data_folder()
    torch.set_num_threads(1)
    for name in asked(CHOSEN):
        config = replace(
            recipe(name), data=str(folder / name / f"{name}.parquet"), split=str(folder / name / "splits.json")
        )
        data: Dataset | None = None
        for turn, out in enumerate(turns(load_dataset(config).labels)):
            path = RESULTS / "robustness" / name / f"{turn}.json"
            if path.exists():
                continue
            data = data or load_dataset(config)
            known = replace(
                data, labels=tuple(label for label in data.labels if label not in out),
                train=kept(data.train, data.labels, out), calibrate=kept(data.calibrate, data.labels, out),
                test=kept(data.test, data.labels, out),
            )
            file = exported(config, known, RUNS / f"{name}-{turn}")
            unknown = np.isin(np.array(data.labels)[data.test.y.numpy()], out)
            write_json(path, {"left_out": list(out), "commit": commit()} | told(file, data.test, unknown))
            say(f"== {name} without {', '.join(out)}: {json.loads(path.read_text())}")
            write()


def turns(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Labels dealt out, three at a time, so that each turn leaves out different kinds of activity."""
    count = -(-len(labels) // LEFT_OUT)
    return [tuple(labels[turn::count]) for turn in range(count)]


def kept(some: WindowSet, labels: Sequence[str], out: Sequence[str]) -> WindowSet:
    """Windows of the other labels, counted among those."""
    stays = torch.tensor([label not in out for label in labels])
    found = some.some(stays[some.y].numpy())
    return replace(found, y=(stays.cumsum(0) - 1)[found.y])


def told(file: bytes, test: WindowSet, unknown: np.ndarray) -> dict[str, float]:
    """Figures of one turn."""
    said = run_file(file, test.x.numpy())
    threshold = parse_metadata(read_properties(file)["mmvq"][0]).unknown_threshold
    flagged = said["unknown_score"] > threshold
    figures = (
        roc_auc_score(unknown, said["unknown_score"]), roc_auc_score(unknown, 1 - said["probabilities"].max(1)),
        flagged[unknown].mean(), flagged[~unknown].mean(),
    )
    return dict(zip(FIGURES, map(float, figures), strict=True))


def write() -> None:
    """results/robustness.json of all turns that are there."""
    found: dict[str, Any] = {}
    for folder in sorted(path for path in (RESULTS / "robustness").iterdir() if path.is_dir()):
        rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        found[folder.name] = {key: float(np.mean([row[key] for row in rows])) for key in FIGURES} | {"turns": rows}
    write_result("robustness", 0, {"test": "people of fold 0, activities left out three at a time", "data": found})


if __name__ == "__main__":
    main()
