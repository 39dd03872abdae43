"""What makes int8 say what float says, on every processor: evened-out channels, and weights that no kernel clips."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from mmvq_export.equalise import equalise
from mmvq_export.export import export_run
from mmvq_export.gates import run_file, run_student
from mmvq_export.trace import OUTPUTS, Deployed
from mmvq_train.rundir import load_run
from mmvq_train.workspace import SlotReader


@pytest.fixture(scope="module")
def windows(tiny_run: Path) -> np.ndarray:
    return load_run(tiny_run).calibration["x"]


def spread(deployed: Deployed, x: torch.Tensor) -> float:
    """How many times larger the largest activation of the second hidden layer is than the median channel's."""
    seen: list[torch.Tensor] = []
    hook = deployed.networks.second.register_forward_hook(lambda _, given, out: seen.append(out.amax((0, 2, 3))))
    with torch.no_grad():
        deployed(x)
    hook.remove()
    used = seen[0][seen[0] > 1e-3]
    return float(used.max() / used.median())


@pytest.mark.parametrize("slots", [0, 5])
def test_an_evened_out_student_says_the_same(slots: int, tiny_run: Path, windows: np.ndarray) -> None:
    trained, x = load_run(tiny_run).student, torch.from_numpy(windows)
    if slots:
        torch.manual_seed(0)
        trained.reader = SlotReader(128, 16, slots, 4)
        trained.reader.remember(torch.randn(3, slots, 16))
    with torch.no_grad():  # some channels, and one group, far larger than the others, as training may leave them
        for length, factor in ((-1, 40), (0, 5)):
            network = trained.networks[length]
            network[3].weight[:20] *= factor
            network[0].weight *= factor
    evened = Deployed(trained, twice=True).eval()
    before = spread(evened, x)
    with torch.no_grad():
        wanted = dict(zip(OUTPUTS, evened(x), strict=True))
        equalise(evened, x)
        found = dict(zip(OUTPUTS, evened(x), strict=True))
    assert spread(evened, x) < before / 3
    assert torch.equal(found["codes"], wanted["codes"])
    for name in ("probabilities", "contributions", "sub_actions", "attributes"):
        torch.testing.assert_close(found[name], wanted[name], atol=1e-4, rtol=1e-5, msg=name)


@pytest.mark.parametrize(("slots", "twice"), [(0, False), (5, False), (0, True)])
def test_a_packed_student_says_what_the_student_says(
    slots: int, twice: bool, tiny_run: Path, windows: np.ndarray
) -> None:
    trained = load_run(tiny_run).student
    if slots:
        torch.manual_seed(0)
        trained.reader = SlotReader(128, 16, slots, 4)
        trained.reader.remember(torch.randn(3, slots, 16))
    with torch.no_grad():
        found = Deployed(trained, twice).eval()(torch.from_numpy(windows[:50]))
    wanted = run_student(trained, windows[:50])
    for name, value in zip(OUTPUTS, found, strict=True):
        near = {"rtol": 1e-4, "atol": 5e-3} if name == "unknown_score" else {"atol": 2e-5}  # of squares, large ones
        np.testing.assert_allclose(value.numpy(), wanted[name], err_msg=name, **near)


def test_rounding_shifts_no_contribution_of_a_length_on_average(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    windows, counts = run.calibration["x"][~run.calibration["held_out"]], run.student.layout.counts
    data = export_run(tiny_run, "int8", "x86", 1).model.SerializeToString()
    apart = run_file(data, windows)["contributions"] - run_student(run.student, windows)["contributions"]
    assert np.abs(apart).max() > 1e-3  # there is rounding
    for own in np.split(apart, np.cumsum(counts)[:-1], axis=1):
        np.testing.assert_allclose(own.mean((0, 1)), 0, atol=1e-5)


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
