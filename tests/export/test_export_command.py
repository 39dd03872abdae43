"""mmvq-export as a command: what it writes where, its gates, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from mmvq_bridge.command import BadInput
from mmvq_export import __version__
from mmvq_export.cli import main
from mmvq_export.export import export_run
from mmvq_export.gates import Gate
from mmvq_run.model import Model

from .conftest import about

WINDOW = 80

@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be harmed."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def test_the_command_writes_the_file_beside_the_run_and_names_the_next_step(run: Path, command: Callable[..., Any]):
    ended = command(main, run)
    assert ended.status == 0
    assert ended.out == ""
    assert "next: mmvq-run --model" in ended.err
    assert ended.err.count("pass  ") == 6
    assert Model(run / "student.onnx").metadata.window == WINDOW


def test_out_and_report_are_written_where_asked(run: Path, command: Callable[..., Any], tmp_path: Path):
    out, report = tmp_path / "other" / "m.onnx", tmp_path / "report.json"
    assert command(main, run, "--out", out, "--report", report).status == 0
    assert out.exists() and not (run / "student.onnx").exists()
    told = json.loads(report.read_text())
    assert told["schema"] == 1
    assert told["windows"] == 228
    assert {gate["name"] for gate in told["gates"]} == {
        "label agreement", "code agreement", "top three reasons agree", "macro-F1 lost", "additivity error",
        "honesty error",
    }  # fmt: skip
    assert all(gate["passed"] for gate in told["gates"])


def test_the_report_is_the_parity_in_the_file(run: Path, command: Callable[..., Any], tmp_path: Path):
    assert command(main, run, "--report", tmp_path / "report.json").status == 0
    told = {gate["name"]: gate["value"] for gate in json.loads((tmp_path / "report.json").read_text())["gates"]}
    assert about((run / "student.onnx").read_bytes())["parity"] == pytest.approx(told, abs=1e-6)


@pytest.mark.parametrize(("machine", "told"), [("x86_64", True), ("aarch64", False)])
def test_a_report_says_how_long_calls_take_where_this_machine_is_the_target(
    machine: str, told: bool, run: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report = tmp_path / "report.json"
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert command(main, run, "--quantize", "int8", "--report", report).status == 0
    found = json.loads(report.read_text())
    assert ("ms_a_call" in found) == told
    if told:
        assert set(found["ms_a_call"]) == {"float", "int8"}
        assert all(0 < ms < 1000 for ms in found["ms_a_call"].values())
    assert b"ms_a_call" not in (run / "student.onnx").read_bytes()


def test_a_slower_int8_is_a_warning(
    run: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mmvq_export.speed.platform.machine", lambda: "AMD64")
    monkeypatch.setattr("mmvq_export.export.interleaved", lambda calls: {"float": 0.1, "int8": 0.25})
    ended = command(main, run, "--quantize", "int8", "--report", tmp_path / "report.json")
    assert ended.status == 0
    assert "warning: slower in int8 (0.250 ms a call) than in float (0.100 ms)" in ended.err


def drowned(run: Path) -> None:
    """A student whose contributions are so large that float32 cannot add them up to within the gate."""
    path = run / "student.safetensors"
    with_header = {"mmvq": json.dumps({**_header(path)})}
    state = load_file(path)
    for name in state:
        if name.startswith("contribute.") and name.endswith("bias"):
            # The same for all classes: probabilities stay as they are, but for what rounding leaves of them.
            state[name] += 3e6 if ".0." in name else -2e6
    save_file(state, path, with_header)


def _header(path: Path) -> dict[str, Any]:
    from mmvq_train.rundir import load_module

    return load_module(path)[1]


def test_a_failed_gate_writes_no_file_unless_forced_and_then_the_file_says_so(run: Path, command: Callable[..., Any]):
    drowned(run)
    ended = command(main, run)
    assert ended.status == 1
    assert "FAIL  additivity error" in ended.err
    last = ended.err.splitlines()[-1]
    assert last.startswith("mmvq-export: no file written: ") and "additivity error" in last and "--force" in last
    assert not (run / "student.onnx").exists()
    assert not list(run.glob(".*"))
    assert command(main, run, "--force").status == 0
    assert "additivity error" in about((run / "student.onnx").read_bytes())["parity"]["forced"]


def test_nothing_forced_is_nothing_recorded(run: Path, command: Callable[..., Any]):
    assert command(main, run, "--force").status == 0
    assert "forced" not in about((run / "student.onnx").read_bytes())["parity"]


@pytest.mark.parametrize(
    ("value", "at_least", "passed"),
    [(0.99, True, True), (0.98, True, False), (0.99, False, True), (1.0, False, False), (float("nan"), True, False)],
)
def test_a_gate_passes_on_its_bound_and_not_beyond(value: float, at_least: bool, passed: bool):
    gate = Gate("some figure", value, 0.99, at_least)
    assert gate.passed is passed
    assert str(gate).startswith("pass" if passed else "FAIL")


def test_a_figure_that_is_no_number_passes_no_gate():
    assert not Gate("error", float("nan"), 1e-4, False).passed


def no_run(run: Path) -> None:
    shutil.rmtree(run)


def unfinished(run: Path) -> None:
    (run / "student.safetensors").unlink()


def truncated(run: Path) -> None:
    path = run / "student.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def without_codes(run: Path) -> None:
    (run / "codes.json").unlink()


def broken_calibration(run: Path) -> None:
    (run / "calibration.npz").write_bytes((run / "calibration.npz").read_bytes()[:500])


def another_width(run: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("width: 128", "width: 64"))


def another_stage(run: Path) -> None:
    shutil.copy(run / "codebook.safetensors", run / "student.safetensors")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (no_run, "no such run"),
        (unfinished, "unfinished"),
        (truncated, "student.safetensors: not a whole"),
        (without_codes, "codes.json"),
        (broken_calibration, "calibration.npz"),
        (another_width, "student.safetensors"),
        (another_stage, "student.safetensors"),
    ],
)
def test_a_run_that_is_not_whole_is_refused_in_one_line(harm: Callable[[Path], None], told: str, run: Path, command):
    harm(run)
    ended = command(main, run)
    assert ended.status == 2
    assert ended.err.startswith("mmvq-export: ")
    assert ended.err.count("\n") == 1
    assert told in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["--batch", "0"], ["--batch", "many"], ["--batch", "-1"], ["inspect", "a", "b"], ["--quantize", "int4"],
        ["--colour"],
    ],
)
def test_wrong_usage_is_told_with_status_2(words: list[str], command: Callable[..., Any]):
    ended = command(main, *words)
    assert ended.status == 2
    assert ended.err.splitlines()[-1].startswith("mmvq-export: ")
    assert "Traceback" not in ended.err


def test_out_must_not_be_a_directory(run: Path, command: Callable[..., Any]):
    ended = command(main, run, "--out", run)
    assert (ended.status, ended.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_end_well(word: str, command: Callable[..., Any]):
    ended = command(main, word)
    assert ended.status == 0
    assert ("--quantize" in ended.out) if word == "--help" else (ended.out == f"mmvq-export {__version__}\n")


def test_what_cannot_be_loaded_is_bad_input_for_callers_too(tmp_path: Path):
    with pytest.raises(BadInput, match="no such run"):
        export_run(tmp_path / "nowhere", "none", "x86", 1)
