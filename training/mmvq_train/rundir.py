"""The run directory (DESIGN 3.4): safetensors, JSON, YAML and npz; no pickle. Each file is whole or absent."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic
from mmvq_train.config import Config
from mmvq_train.config_file import from_yaml, to_yaml
from mmvq_train.data import WindowSet
from mmvq_train.student.model import Student, make_student

CALIBRATION_WINDOWS = 256  # of training people, for int8 ranges
HELD_OUT_WINDOWS = 1024  # of held-out training people, for the export's gates


def start_run(config: Config) -> Path:
    """Make the directory of a new run and write its config.yaml. Raises BadInput if there is a run in it."""
    out = Path(config.out) if config.out else _fresh(Path("runs"))
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: there is a run in it already; continue it with --resume {out}, or give another --out")
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / "config.yaml") as part:
        part.write_text(to_yaml(config), encoding="utf-8")
    return out


def mark_latest(run: Path) -> None:
    """Let `latest` beside a run of the default place point at it."""
    link = run.parent / "latest"
    if link.exists() and not link.is_symlink():
        return
    temporary = run.parent / f".latest-{run.name}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run.name)
    temporary.replace(link)


def resume_run(path: str) -> tuple[Config, Path]:
    """The configuration and the directory of a run begun earlier."""
    run = Path(path)
    if not (run / "config.yaml").exists():
        raise BadInput(f"{run}: no config.yaml in it, so there is no run to resume; give the directory of a run")
    config = from_yaml(run / "config.yaml")
    config.check()
    return config, run


def write_json(path: Path, value: Any) -> None:
    """JSON, atomically."""
    with atomic(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save_module(module: nn.Module, path: Path, about: Mapping[str, Any]) -> None:
    """A module's state as safetensors, with `about` as JSON in its header."""
    state = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    with atomic(path) as part:
        save_file(state, part, metadata={"mmvq": json.dumps(about, ensure_ascii=False)})


def load_module(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and `about` of a file written by `save_module`. Raises BadInput naming the file."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["mmvq"])
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, about
    except FileNotFoundError:
        raise BadInput(f"{path}: not there; the run is unfinished, continue it with mmvq-train --resume") from None
    except (SafetensorError, OSError, KeyError, ValueError):
        raise BadInput(f"{path}: not a whole mmvq safetensors file; train again or copy it again") from None


def restore(module: nn.Module, path: Path) -> bool:
    """Load a finished stage into `module`; whether there was one."""
    if not path.exists():
        return False
    fill(module, load_module(path)[0], path)
    return True


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load the state that `path` holds into `module`, for evaluation. Raises BadInput if it is another module's."""
    try:
        module.load_state_dict(state)
    except RuntimeError:
        raise BadInput(
            f"{path}: its weights do not fit the run's config.yaml; take both of one run, or train again if an earlier "
            "version of mmvq made it"
        ) from None
    module.eval()


@dataclass(frozen=True)
class TrainedRun:
    """What export needs of a finished run."""

    path: Path
    config: Config
    student: Student
    labels: tuple[str, ...]
    sub_actions: tuple[str, ...]
    data: dict[str, str]
    codes: list[dict[str, Any]]
    calibration: dict[str, Any]


def load_run(path: Path) -> TrainedRun:
    """Read a finished run. Raises BadInput naming what is missing."""
    if not path.is_dir():
        raise BadInput(f"{path}: no such run directory; train one with mmvq-train, or name one: mmvq-export RUN")
    config, _ = resume_run(str(path))
    state, about = load_module(path / "student.safetensors")
    if about.get("stage") != "student":
        raise BadInput(f"{path / 'student.safetensors'}: holds no student; copy it again or resume the run")
    labels, sub_actions = tuple(about["labels"]), tuple(about["sub_actions"])
    student = make_student(config, len(labels), len(sub_actions))
    fill(student, state, path / "student.safetensors")
    try:
        codes = json.loads((path / "codes.json").read_text(encoding="utf-8"))["codes"]
        # Opened here, as numpy leaves a broken file open.
        with (path / "calibration.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            calibration = {name: file[name] for name in ("x", "y", "held_out")}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BadInput(
            f"{path}: codes.json or calibration.npz is missing or broken ({error}); resume the run"
        ) from None
    return TrainedRun(path, config, student, labels, sub_actions, about["data"], codes, calibration)


def write_calibration(path: Path, train: WindowSet, held_out: WindowSet, seed: int) -> None:
    """calibration.npz: windows of training people, and of those held out (held_out true). float32 g."""
    generator = torch.Generator().manual_seed(seed)
    parts = [
        (data.x[rows].numpy(), data.y[rows].numpy())
        for data, count in ((train, CALIBRATION_WINDOWS), (held_out, HELD_OUT_WINDOWS))
        for rows in [torch.randperm(len(data), generator=generator)[:count]]
    ]
    flags = np.concatenate([np.full(len(x), i == 1) for i, (x, _) in enumerate(parts)])
    with atomic(path) as part:
        np.savez_compressed(
            part,
            x=np.concatenate([x for x, _ in parts]),
            y=np.concatenate([y for _, y in parts]),
            held_out=flags,
        )


def _fresh(parent: Path) -> Path:
    name = time.strftime("%Y%m%d-%H%M%S")
    choice = parent / name
    number = 1
    while choice.exists():
        number += 1
        choice = parent / f"{name}-{number}"
    return choice
