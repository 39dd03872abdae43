"""Does the file say what the student said? Measured on held-out training people, before anything is written.

Codes break first under int8, while labels still agree (EDGE 1); so labels, codes and reasons each have a gate.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score

from mmvq_export.trace import OUTPUTS
from mmvq_train.fitting import in_batches
from mmvq_train.student.model import Student, StudentOutput, sub_action_probabilities

Outputs = dict[str, npt.NDArray[Any]]
TOP_REASONS: Final = 3
HONESTY_WINDOWS: Final = 8


@dataclass(frozen=True)
class Gate:
    """One figure and the bound that it must keep."""

    name: str
    value: float
    bound: float
    at_least: bool

    @property
    def passed(self) -> bool:
        """Whether the figure keeps the bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{'pass' if self.passed else 'FAIL'}  {self.name:<28} {self.value:.6g}  ({sign} {self.bound:g})"


def run_student(student: Student, x: npt.NDArray[np.float32]) -> Outputs:
    """The published outputs as the student has them, in float."""
    found = in_batches(student, torch.from_numpy(x))
    out = {name: torch.cat([getattr(one, name) for one in found]) for name in StudentOutput.__annotations__}
    counts = torch.tensor(student.layout.counts)
    out["codes"] += torch.repeat_interleave(student.size * torch.arange(len(counts)), counts)[:, None]
    out["probabilities"] = F.softmax(out["logits"] / student.temperature, dim=-1)
    out["unknown_score"] = student.unlikeness(student.by_length(out["contributions"]))
    out["sub_actions"] = sub_action_probabilities(out["actions"])
    return {name: out[name].numpy() for name in OUTPUTS}


def open_session(data: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on a model file's bytes, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_file(data: bytes, x: npt.NDArray[np.float32], batch: int = 1) -> Outputs:
    """The outputs of a model file in ONNX Runtime, one thread. A fixed batch is filled up with the last window."""
    session, parts = open_session(data), []
    for start in range(0, len(x), batch):
        rows = x[start : start + batch]
        filled = np.concatenate([rows, np.repeat(rows[-1:], batch - len(rows), axis=0)])
        parts.append([out[: len(rows)] for out in session.run(list(OUTPUTS), {"accel": filled})])
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(OUTPUTS)}


def compare(
    truth: Outputs, found: Outputs, y: npt.NDArray[np.int64], student: Student, dishonest: float
) -> list[Gate]:
    """All gates: `truth` is the float student, `found` the file, `y` the windows' labels."""
    label, other = truth["probabilities"].argmax(1), found["probabilities"].argmax(1)
    lost = _macro(y, label) - _macro(y, other)
    logits = found["contributions"].astype(np.float64).sum(1) + student.bias.detach().double().numpy()
    unlike = additivity_error(logits, found["probabilities"], float(student.temperature))
    return [
        Gate("label agreement", float((label == other).mean()), 0.99, True),
        Gate("code agreement", float((truth["codes"] == found["codes"]).mean()), 0.95, True),
        Gate("top three reasons agree", _reasons_agree(truth, found), 0.95, True),
        Gate("macro-F1 lost", lost, 0.01, False),
        Gate("additivity error", unlike, 1e-4, False),
        Gate("honesty error", dishonest, 1e-5, False),
    ]


def honesty_error(data: bytes, x: npt.NDArray[np.float32], batch: int, rate_hz: float, seed: int = 0) -> float:
    """The largest change of any token's rows when the signal outside its span is replaced (DESIGN 3.5).

    One token of each length and window is tried; its span is read from the published attributes.
    """
    rng = np.random.default_rng(seed)
    x = x[:HONESTY_WINDOWS]
    before = run_file(data, x, batch)
    spans = before["attributes"][0, :, 0, :2]
    worst = 0.0
    for length in np.unique(spans[:, 1]):
        token = int(rng.choice(np.flatnonzero(spans[:, 1] == length)))
        begin = round(float(spans[token, 0]) * rate_hz)
        end = begin + round(float(length) * rate_hz)
        changed = rng.normal(0, 1, x.shape).astype(np.float32)
        changed[:, begin:end] = x[:, begin:end]
        after = run_file(data, changed, batch)
        for name in ("codes", "attributes", "contributions", "sub_actions"):
            worst = max(worst, float(np.abs(after[name][:, token] - before[name][:, token]).max()))
    return worst


def additivity_error(
    logits: npt.NDArray[np.float64], probabilities: npt.NDArray[np.float32], temperature: float
) -> float:
    """Largest distance between logits summed from contributions and those that the probabilities tell, in logits.

    Probabilities tell logits up to a constant, so both are taken relative to the best label; those under 1e-12 are left
    out, where float32 has lost the digits.
    """
    best = probabilities.argmax(1)[:, None]
    kept = probabilities > 1e-12
    told = temperature * np.log(np.where(kept, probabilities, 1.0).astype(np.float64))
    told -= np.take_along_axis(told, best, 1)
    summed = logits - np.take_along_axis(logits, best, 1)
    return float(np.abs(summed - told)[kept].max())


def _macro(truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64]) -> float:
    return float(f1_score(truth, guess, labels=np.unique(truth), average="macro", zero_division=0))


def _reasons_agree(truth: Outputs, found: Outputs) -> float:
    """Share of the three pieces that counted most which both name, for the float student's label."""
    shares = []
    labels = truth["probabilities"].argmax(1)
    for label, a, b in zip(labels, truth["contributions"], found["contributions"], strict=True):
        top = [set(np.argsort(-c[:, label], kind="stable")[:TOP_REASONS]) for c in (a, b)]
        shares.append(len(top[0] & top[1]) / TOP_REASONS)
    return float(np.mean(shares))
