"""Other forms of the student, from training over export to the runtime: joint codes, one for all axes of a piece, with
slots frozen in; and pieces in three views."""

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

FORMS = {
    "joint": (
        "--codebook.joint", "True", "--codebook.fusion", "True", "--codebook.method", "both",
        "--workspace.frozen", "True",
    ),
    "views": ("--pieces.views", "axes", "gravity", "rhythm", "--student.width", "32", "--student.method", "workspace"),
}
STREAMS = {"joint": 1, "views": 3}
CURVES = {"joint": 3, "views": 1}


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(form: str, small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / form
    assert status(train_main, "--data", small_file, "--out", out, *TINY, *FORMS[form]) == 0
    return out


@pytest.fixture(scope="module")
def model_file(run: Path) -> Path:
    path = run / "student.onnx"
    exported = export_run(run, "int8", "x86", 1)
    path.write_bytes(exported.data([gate.name for gate in exported.gates if not gate.passed]))
    return path


def test_a_token_has_its_codes_and_the_attributes_of_three_curves(form: str, run: Path, model_file: Path):
    loaded = load_run(run)
    x = torch.from_numpy(loaded.calibration["x"][:1])
    prediction = Model(model_file).predict(x[0].numpy())
    layout, size = loaded.student.layout, loaded.student.size
    assert prediction.codes.shape == prediction.margins.shape == (layout.tokens, STREAMS[form])
    assert prediction.attributes.shape == (layout.tokens, 3, 4)
    with torch.no_grad():
        out = loaded.student(x)
    expected = np.concatenate([codes + size * i for i, codes in enumerate(out.codes[0].split(layout.counts))])
    assert (prediction.codes == expected).mean() > 0.9
    np.testing.assert_allclose(prediction.attributes, out.attributes[0].numpy(), atol=2e-3)


def test_every_code_is_drawn_and_says_what_it_is_of(form: str, run: Path):
    codes = json.loads((run / "codes.json").read_text())["codes"]
    views = ["axes", "gravity", "rhythm"] if form == "views" else ["axes"]
    assert [code["view"] for code in codes] == [view for view in views for _ in range(16)]
    assert all(np.shape(code["shape"]) == (CURVES[form], 32) for code in codes)
    assert ("seen in several views" in (run / "report.html").read_text()) == (form == "views")
    lengths = json.loads((run / "metrics.json").read_text())["codebook"]["lengths"]
    assert [one["view"] for one in lengths] == [view for view in views for _ in range(2)]


def test_the_live_runtime_gives_reasons_of_every_form(form: str, command, small_file: Path, model_file: Path):
    ended = command(run_main, "--input", small_file, "--model", model_file, "--format", "jsonl", "--explain", "full")
    assert ended.status == 0
    windows = [event for event in map(json.loads, ended.out.splitlines()) if event["type"] == "window"]
    assert windows
    assert all(len(piece["codes"]) == STREAMS[form] for event in windows for piece in event["because"])
    said = " ".join(event["in_words"] for event in windows)
    assert ("rhythm " in said) == (form == "views")


def test_each_view_alone_says_what_it_learnt_and_together_they_say_the_mean(form: str, run: Path):
    loaded = load_run(run)
    x = torch.from_numpy(loaded.calibration["x"][:8])
    with torch.no_grad():
        out = loaded.student(x)
    parts = loaded.student.parts()
    assert len(parts) == (3 if form == "views" else 1)
    alone = [len(parts) * out.contributions[:, part.tokens].sum(1) + loaded.student.bias for part in parts]
    torch.testing.assert_close(torch.stack(alone).mean(0), out.logits)
