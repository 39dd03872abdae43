"""Joint codes, one for all axes of a piece, and slots frozen into the student: training, export, runtime."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmvq_export.export import export_run
from mmvq_run.cli import main as run_main
from mmvq_run.model import Model
from mmvq_train.cli import main as train_main
from mmvq_train.rundir import load_run

from ..conftest import TINY, status

JOINT = (
    "--codebook.joint", "True", "--codebook.fusion", "True", "--codebook.method", "both", "--workspace.frozen", "True",
)


@pytest.fixture(scope="module")
def joint_run(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "joint"
    assert status(train_main, "--data", small_file, "--out", out, *TINY, *JOINT) == 0
    return out


@pytest.fixture(scope="module")
def model_file(joint_run: Path) -> Path:
    path = joint_run / "student.onnx"
    exported = export_run(joint_run, "int8", "x86", 1)
    path.write_bytes(exported.data([gate.name for gate in exported.gates if not gate.passed]))
    return path


def test_a_token_has_one_code_and_the_attributes_of_three_axes(joint_run: Path, model_file: Path):
    run = load_run(joint_run)
    x = torch.from_numpy(run.calibration["x"][:1])
    prediction = Model(model_file).predict(x[0].numpy())
    tokens = run.student.layout.tokens
    assert (prediction.codes.shape, prediction.margins.shape) == ((tokens, 1), (tokens, 1))
    assert prediction.attributes.shape == (tokens, 3, 4)
    with torch.no_grad():
        out = run.student(x)
    size = run.student.size
    by_length = out.codes[0].split(run.student.layout.counts)
    expected = np.concatenate([codes + size * i for i, codes in enumerate(by_length)])
    assert (prediction.codes == expected).mean() > 0.9
    np.testing.assert_allclose(prediction.attributes, out.attributes[0].numpy(), atol=2e-3)


def test_every_code_is_drawn_by_three_curves(joint_run: Path):
    codes = json.loads((joint_run / "codes.json").read_text())["codes"]
    assert len(codes) == 16
    assert all(np.shape(code["shape"]) == (3, 32) for code in codes)


def test_the_live_runtime_gives_reasons_with_one_code_each(command, small_file: Path, model_file: Path):
    ended = command(run_main, "--input", small_file, "--model", model_file, "--format", "jsonl")
    assert ended.status == 0
    windows = [event for event in map(json.loads, ended.out.splitlines()) if event["type"] == "window"]
    assert windows
    assert all(len(piece["codes"]) == 1 for event in windows for piece in event["because"])
