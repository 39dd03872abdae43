"""A run directory -> the bytes of a model file, and the figures that say how far they can be trusted."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import torch

from mmvq_bridge.command import BadInput
from mmvq_export.compact import compact
from mmvq_export.equalise import equalise
from mmvq_export.gates import Gate, compare, honesty_error, run_file, run_student
from mmvq_export.metadata import describe, seal
from mmvq_export.quantize import LARGEST, Target, quantize, settle
from mmvq_export.rounding import round_weights
from mmvq_export.speed import called, fits_host, interleaved
from mmvq_export.trace import Batch, Deployed, strip, trace
from mmvq_train.rundir import TrainedRun, load_run
from mmvq_train.student import Student

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Quantization = Literal["none", "int8"]


@dataclass(frozen=True)
class Exported:
    """A model ready to be sealed, its gates, and a report of both."""

    run: TrainedRun
    model: onnx.ModelProto
    quantization: str
    gates: list[Gate]

    @property
    def report(self) -> dict[str, Any]:
        """Each gate's figure, bound and outcome."""
        return {
            "schema": 1,
            "quantization": self.quantization,
            "windows": int(self.run.calibration["held_out"].sum()),
            "gates": [
                {"name": g.name, "value": g.value, "bound": g.bound, "at_least": g.at_least, "passed": g.passed}
                for g in self.gates
            ],
        }

    def data(self, forced: list[str], key: "Ed25519PrivateKey | None" = None) -> bytes:
        """The file's bytes, signed if there is a key; `forced` names the failed gates that were overruled."""
        parity: dict[str, Any] = {g.name: round(g.value, 8) for g in self.gates}
        if forced:
            parity["forced"] = forced
        try:
            return seal(self.model, describe(self.run, self.quantization, parity), key)
        except ValueError as error:
            raise BadInput(f"{self.run.path}: what the file would say of itself is not valid: {error}") from None


def graph_of(
    student: Student, windows: npt.NDArray[np.float32], quantization: Quantization, target: Target, batch: Batch
) -> onnx.ModelProto:
    """The student as it is deployed, without metadata; int8 ranges from windows of training people (N, window, 3)."""
    deployed = Deployed(student, twice=quantization == "int8").eval()
    if quantization == "int8":
        meant = run_student(student, windows)["contributions"]
        equalise(deployed, torch.from_numpy(windows))
        ranges = round_weights(deployed, torch.from_numpy(windows), LARGEST[target])
        model = quantize(trace(deployed, batch), windows, target, ranges)
        settle(model, meant, windows, student.layout.counts, _step(batch))
    else:
        model = trace(deployed, batch)
    strip(model)
    compact(model)
    return model


def _step(batch: Batch) -> int:
    """Windows at once."""
    return batch if isinstance(batch, int) else 64


def export_run(path: Path, quantization: Quantization, target: Target, batch: Batch) -> Exported:
    """Trace, quantise and compare with the student. Raises BadInput for an unfinished run."""
    run = load_run(path)
    x, y, held_out = (run.calibration[name] for name in ("x", "y", "held_out"))
    model, step = graph_of(run.student, x[~held_out], quantization, target, batch), _step(batch)
    name = "none" if quantization == "none" else f"int8 static QDQ, {target}"
    data = model.SerializeToString()
    windows = x[held_out]
    found = run_file(data, windows, step)
    dishonest = honesty_error(data, windows, step, run.config.rate_hz)
    gates = compare(run_student(run.student, windows), found, y[held_out], run.student, dishonest)
    return Exported(run, model, name, gates)


def spent(exported: Exported, target: Target, batch: Batch) -> dict[str, float] | None:
    """What a call of the int8 file and of the same in float takes, ms, in turns on one thread; none if this machine is
    not the target, or the file is in float itself."""
    if exported.quantization == "none" or not fits_host(target):
        return None
    x = exported.run.calibration["x"]
    plain = graph_of(exported.run.student, x, "none", target, batch)
    files = {"float": plain.SerializeToString(), "int8": exported.model.SerializeToString()}
    step = batch if isinstance(batch, int) else 1
    return interleaved({name: called(data, x, step) for name, data in files.items()})
