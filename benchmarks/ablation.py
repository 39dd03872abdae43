"""No stage is decoration: what each moves when it is switched off, on the embedded recordings, for a one-view student.

    python benchmarks/ablation.py [SEEDS]

Per seed, one full run; then without text, without each teacher, without the workspace. Stages that a switch does not
touch are taken over from the full run, so that differences come from the switch and not from another training. Runs
are kept in runs/ablation, and an interrupted benchmark goes on where it stopped.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from additive import DATA
from common import write_result
from distillation import ONE_VIEW

from mmvq_bridge.command import say
from mmvq_train.config import Config, StudentConfig
from mmvq_train.data import load_dataset
from mmvq_train.pipeline import train
from mmvq_train.rundir import start_run

FOLDER = Path("runs/ablation")
SHOWN = {
    "macro_f1": lambda m: m["test"]["macro_f1"],
    "balanced_accuracy": lambda m: m["test"]["balanced_accuracy"],
    "shape_error": lambda m: m["codebook"]["shape_error"],
    "codes_named": lambda m: m["codebook"]["named"],
    "sub_actions_in_set": lambda m: m["explanation"]["sub_actions_in_set"],
    "deletion_named_wins": lambda m: m["explanation"]["deletion_named_wins"],
}


def variants(base: Config) -> dict[str, tuple[Config, list[str]]]:
    """Configuration, and the files of the full run that it shares."""
    teachers = ["teachers/signal.safetensors", "teachers/persistence.safetensors"]
    codebook = ["codebook.safetensors"]
    without = {
        "text": (replace(base, codebook=replace(base.codebook, text="none")), teachers),
        "signal teacher": (with_teacher(base, "persistence"), codebook + teachers[1:]),
        "persistence teacher": (with_teacher(base, "signal"), codebook + teachers[:1]),
        "workspace": (replace(base, student=replace(base.student, method="kd")), codebook + teachers),
    }
    return {"nothing": (base, []), **without}


def with_teacher(base: Config, name: str) -> Config:
    """With one teacher alone."""
    return replace(base, teachers=replace(base.teachers, use=(name,)))


def run_once(config: Config, shared: list[str], source: Path | None) -> dict[str, Any]:
    """Train one variant, or read what it gave before."""
    run = Path(config.out or "")
    if not (run / "metrics.json").exists():
        if not (run / "config.yaml").exists():
            start_run(config)
        for name in shared:
            assert source is not None
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, run / name)
        train(config, load_dataset(config), run)
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def main() -> None:
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        student = StudentConfig(**ONE_VIEW, epochs=20)
        base = Config(seed=seed, pieces=DATA["wisdm_watch"].pieces, student=student)
        for name, (config, shared) in variants(base).items():
            say(f"== seed {seed}, without {name}")
            out = FOLDER / f"{seed}-{name.replace(' ', '-')}"
            metrics = run_once(replace(config, out=str(out)), shared, FOLDER / f"{seed}-nothing")
            rows.setdefault(name, []).append({key: float(show(metrics)) for key, show in SHOWN.items()})
    table = []
    for name, runs in rows.items():
        row: dict[str, Any] = {"without": name}
        for key in SHOWN:
            values = np.array([run[key] for run in runs])
            base_values = np.array([run[key] for run in rows["nothing"]])
            row[key] = {
                "mean": float(values.mean()),
                "per_seed": values.tolist(),
                "moved": float((values - base_values).mean()),
                "moved_per_seed": (values - base_values).tolist(),
            }
        table.append(row)
    write_result("ablation", 0, {
        "data": "embedded WISDM, small preset, the three test people",
        "seeds": list(seeds),
        "rows": table,
    })


if __name__ == "__main__":
    main()
