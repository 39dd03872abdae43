"""What makes int8 say what float says, on every processor: evened-out channels, and weights that no kernel clips."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from mmvq_export.equalise import equalise
from mmvq_export.export import export_run
from mmvq_export.gates import run_student
from mmvq_export.trace import fold
from mmvq_train.rundir import load_run
from mmvq_train.student import Student
from mmvq_train.workspace import SlotReader


@pytest.fixture(scope="module")
def windows(tiny_run: Path) -> np.ndarray:
    return load_run(tiny_run).calibration["x"]


def spread(student: Student, x: torch.Tensor) -> float:
    """How many times larger the largest hidden activation of the longest pieces is than the median channel's."""
    network = student.networks[-1]
    seen: list[torch.Tensor] = []
    hook = network.register_forward_hook(lambda _, given, out: seen.append(out.detach().amax(0)))
    with torch.no_grad():
        student(x)
    hook.remove()
    used = seen[0][seen[0] > 1e-3]
    return float(used.max() / used.median())


@pytest.mark.parametrize("slots", [0, 5])
def test_an_evened_out_student_says_the_same(slots: int, tiny_run: Path, windows: np.ndarray) -> None:
    trained = load_run(tiny_run).student
    if slots:
        torch.manual_seed(0)
        trained.reader = SlotReader(128, 16, slots, 4)
        trained.reader.remember(torch.randn(3, slots, 16))
    folded, evened = (fold(trained) for _ in range(2))
    for student in (folded, evened):
        with torch.no_grad():  # some channels far larger than the others, as training may leave them
            student.networks[-1][3].weight[:20] *= 40
    before = spread(evened, torch.from_numpy(windows))
    equalise(evened, torch.from_numpy(windows))
    assert spread(evened, torch.from_numpy(windows)) < before / 3
    one, two = run_student(folded, windows), run_student(evened, windows)
    np.testing.assert_array_equal(one["codes"], two["codes"])
    for name in ("probabilities", "contributions", "sub_actions", "attributes"):
        np.testing.assert_allclose(one[name], two[name], atol=2e-5, err_msg=name)


def test_an_int8_file_says_the_same_with_integer_kernels_as_by_its_definition(
    tiny_run: Path, windows: np.ndarray
) -> None:
    # Without optimisation ONNX Runtime takes the file's words for it, in float; with it, this processor's kernels.
    data = export_run(tiny_run, "int8", "x86", 1).model.SerializeToString()
    found = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        found.append(np.concatenate([
            session.run(["contributions"], {"accel": window[None]})[0] for window in windows[:64]
        ]))
    apart = np.abs(found[0] - found[1])
    assert apart.max() < 2e-3  # a value on the border of two steps may fall to either side
    assert apart.mean() < 1e-5  # sums that are clipped would be off by hundreds of times as much
