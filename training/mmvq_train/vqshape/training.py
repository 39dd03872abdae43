"""The run around pre-training: its directory, its checkpoints, the file that a finished model is."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from mmvq_bridge.command import BadInput, say
from mmvq_train.config import Accelerator
from mmvq_train.fitting import device_of, lightning_quiet, resumable
from mmvq_train.rundir import fill, load_module, save_module, write_json
from mmvq_train.vqshape.config import Recipe, VQShapeConfig, config_from, differing
from mmvq_train.vqshape.model import VQShape
from mmvq_train.vqshape.stage import Pretraining

MODEL: Final = "vqshape.safetensors"
CONFIG: Final = "config.json"
STAGE: Final = "vqshape"


def pretrain(
    config: VQShapeConfig,
    series: Tensor,
    run: Path,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    accelerator: Accelerator = "auto",
    devices: str | int = "auto",
    strategy: str = "auto",
) -> VQShape:
    """Pre-train on series (N, samples) of one channel each, any length; the model, on the CPU and for evaluation.

    run: gets config.json, vqshape.safetensors and log/ (curves as CSV; while it runs, the checkpoint). The same call
    goes on with a run that was stopped, and only reads one that is done. Raises BadInput where the directory holds
    a run of another configuration or other series.
    """
    recipe = recipe or Recipe()
    config.check()
    recipe.check()
    _check_series(series)
    device = device_of(accelerator)
    _begin(run, config, recipe, series, seed)
    if (run / MODEL).exists():
        return load_vqshape(run)
    stage = Pretraining(config, recipe, series.float(), seed)
    automatic = "bf16-mixed" if device.type == "cuda" else "32-true"
    _fit(
        stage,
        run / "log",
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision=automatic if recipe.precision == "auto" else recipe.precision,
    )
    model = stage.model.cpu().eval()
    if stage.global_rank == 0:
        about = {"stage": STAGE, "config": asdict(config), "recipe": asdict(recipe), "seed": seed}
        save_module(model, run / MODEL, about | {"series": len(series), "steps": stage.steps})
        _checkpoint(run / "log").unlink(missing_ok=True)
    return model


def load_vqshape(path: Path) -> VQShape:
    """The model of a run directory, or of its file, for evaluation. Raises BadInput naming the file."""
    file = path / MODEL if path.is_dir() else path
    if not file.exists():
        raise BadInput(f"{file}: no such model; make one with mmvq-vqshape pretrain, whose --out is this directory")
    state, about = load_module(file)
    if not isinstance(about, dict) or about.get("stage") != STAGE:
        raise BadInput(f"{file}: holds no VQShape model")
    try:
        model = VQShape(config_from(about.get("config")))
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from None
    fill(model, state, file)
    return model


def _check_series(series: Tensor) -> None:
    if series.dim() != 2 or len(series) == 0 or series.shape[1] < 2:
        raise BadInput(f"series to pre-train on are (N, samples), one or more of 2 or more; got {tuple(series.shape)}")
    if not bool(torch.isfinite(series).all()):
        row = int((~torch.isfinite(series)).any(-1).nonzero()[0])
        raise BadInput(f"series {row} to pre-train on has a value that is no number")


def _begin(run: Path, config: VQShapeConfig, recipe: Recipe, series: Tensor, seed: int) -> None:
    """Write config.json, or see that the one that is there says the same."""
    digest = hashlib.sha256(series.float().contiguous().numpy().tobytes()).hexdigest()
    file = run / CONFIG
    if not file.exists():
        if (run / MODEL).exists():
            raise BadInput(f"{run}: holds a model without its {CONFIG}; give another directory")
        values = {"model": asdict(config), "recipe": asdict(recipe), "seed": seed, "series": digest}
        write_json(file, {"schema": 1, **values})
        return
    try:
        old: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        other = differing(old["model"], config) or differing(old["recipe"], recipe)
        other = other or ("seed" if old["seed"] != seed else None) or ("data" if old["series"] != digest else None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{file}: not the configuration of a VQShape run; give another directory") from None
    if other:
        raise BadInput(
            f"{run}: a run with another {other.replace('_', '-')} is in it; go on with that one's options, or give "
            "another directory"
        )


def _fit(stage: Pretraining, log: Path, **trainer_options: Any) -> None:
    checkpoint = _checkpoint(log)
    earlier = resumable(checkpoint, stage)
    saver = ModelCheckpoint(
        dirpath=log, filename=checkpoint.stem, enable_version_counter=False, save_on_train_epoch_end=True
    )
    L.seed_everything(stage.seed, verbose=False)
    with lightning_quiet():
        try:
            trainer = L.Trainer(
                max_epochs=stage.legs,
                gradient_clip_val=stage.recipe.clip,
                # The logger starts its file anew: one curve for each time that the run is taken up.
                logger=CSVLogger(log, name=None, version=f"curve-{len(list(log.glob('curve-*')))}"),
                callbacks=[saver, TQDMProgressBar(refresh_rate=10)],
                enable_model_summary=False,
                reload_dataloaders_every_n_epochs=1,
                log_every_n_steps=min(10, max(1, stage.steps // 20)),  # a short run has a curve, too
                **trainer_options,
            )
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise BadInput(f"Lightning cannot use --devices, --strategy or --precision as given: {error}") from None
        if earlier:
            say(f"going on from {earlier}")
        trainer.fit(stage, ckpt_path=earlier, weights_only=True)


def _checkpoint(log: Path) -> Path:
    return log / "vqshape.ckpt"
