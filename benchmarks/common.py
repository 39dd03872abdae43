"""What every benchmark writes beside its figures: machine, versions, date, seed, commit."""

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from mmvq_train.rundir import write_json

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "lightning", "onnx", "onnxruntime", "numpy", "scikit-learn")


def write_result(name: str, seed: int, figures: dict[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    about = {
        "benchmark": name,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": f"{platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions,
        "seed": seed,
    }
    path = RESULTS / f"{name}.json"
    write_json(path, about | figures)
    print(path)
    return path


def data_folder() -> Path:
    """The command line's first word. Asked for help, or without one, tells what the script is for and ends it."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("-h", "--help"):
        print(sys.modules["__main__"].__doc__)
        raise SystemExit(0)
    if not Path(word).is_dir():
        raise SystemExit(f"{word}: no folder; give the one that holds the recordings, as ../shared/data")
    return Path(word)


def asked(names: Iterable[str], *others: Iterable[str]) -> list[str]:
    """Those of `names` that the command line has, all where it has none; a word of it may also be one of `others`, a
    folder, an option or its number, and ends the script if it is nothing of these."""
    every, words = list(names), sys.argv[1:]
    known = {*every, *(name for other in others for name in other)}
    for word in words:
        if not (word in known or word.startswith("--") or word.isdigit() or Path(word).is_dir()):
            raise SystemExit(f"{word}: no folder, and none of {', '.join(sorted(known))}")
    return [name for name in every if name in words] or every


def macro_f1(truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64]) -> float:
    """Over the labels that occur in `truth`."""
    return float(f1_score(truth, guess, labels=np.unique(truth), average="macro", zero_division=0))


def subject_interval(
    truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64], subject: npt.NDArray[np.str_], seed: int
) -> list[float]:
    """95 % bootstrap interval of macro-F1, drawing whole subjects (1000 times)."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(subject == s) for s in np.unique(subject)]
    drawn = []
    for _ in range(1000):
        some = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        drawn.append(macro_f1(truth[some], guess[some]))
    return [float(v) for v in np.quantile(drawn, [0.025, 0.975])]


def paired_over_people(ones: Sequence[dict[str, float]], others: Sequence[dict[str, float]]) -> list[float]:
    """Mean difference over people of what each (a run: its value for every person) found, and its 95 % bootstrap
    interval (10,000 draws of people). Runs of the same seeds are averaged first."""
    people = list(ones[0])
    one, other = (np.array([[run[s] for s in people] for run in runs]).mean(0) for runs in (ones, others))
    difference = one - other
    rng = np.random.default_rng(0)
    drawn = difference[rng.integers(len(difference), size=(10_000, len(difference)))].mean(axis=1)
    return [float(difference.mean()), *(float(v) for v in np.quantile(drawn, [0.025, 0.975]))]


def slug(row: str) -> str:
    """A row as its file is called."""
    return row.lower().replace(", ", "-").replace(" ", "-")


def commit() -> str:
    """Of the checkout, short."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
