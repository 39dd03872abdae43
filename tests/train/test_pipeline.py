"""mmvq-train from recordings to a run directory: complete, repeatable, and continued where it was stopped."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from mmvq_bridge.command import BadInput
from mmvq_train.cli import main, parse
from mmvq_train.config_file import from_yaml
from mmvq_train.data import load_dataset
from mmvq_train.embedded import RECORDINGS
from mmvq_train.evaluate import judge
from mmvq_train.pipeline import train
from mmvq_train.rundir import load_run, mark_latest, start_run
from mmvq_train.student.model import sub_action_probabilities

STAGES = ("codebook", "teacher-signal", "teacher-persistence", "student")
KEYS = {"schema", "data", "split", "fold", "classes", "test", "explanation", "codebook", "seconds", "hardware"}


def options(run: Path) -> list[str]:
    """The command line that made a run, from its config.yaml, for one that is to be the same."""
    words: list[str] = []

    def add(prefix: str, values: dict) -> None:
        for key, value in values.items():
            name = f"{prefix}{key.replace('_', '-')}"
            if isinstance(value, dict):
                add(f"{name}.", value)
            elif value is not None and name not in ("--out",):
                words.extend([name, *map(str, value)] if isinstance(value, list) else [name, str(value)])

    add("--", yaml.safe_load((run / "config.yaml").read_text()))
    return words


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copied(run: Path, folder: Path) -> Path:
    copy = folder / "run"
    shutil.copytree(run, copy)
    return copy


@pytest.fixture
def quick(tiny_run: Path) -> list[str]:
    """The tiny run's options with one epoch a stage."""
    return [*options(tiny_run), "--codebook.epochs", "1", "--student.epochs", "2"]


def stopped(words: list[object], checkpoint: Path, how: signal.Signals, log: Path) -> int:
    """mmvq-train in a process of its own, stopped once there is a checkpoint; its exit status."""
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "mmvq_train", *map(str, words)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
            stdout=err, stderr=err,
        )  # fmt: skip
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(how)
        return process.wait(60)


def test_every_file_of_a_run_is_there(tiny_run: Path):
    files = {str(p.relative_to(tiny_run)) for p in tiny_run.rglob("*") if p.is_file()}
    assert files >= {
        "config.yaml", "metrics.json", "student.safetensors", "codebook.safetensors", "bank.json", "bank.safetensors",
        "calibration.npz", "codes.json", "report.html", "teachers/signal.safetensors",
        "teachers/persistence.safetensors",
    }  # fmt: skip
    for stage in STAGES:
        assert f"log/{stage}/metrics.csv" in files
        assert any(name.startswith(f"log/{stage}/events.out.tfevents") for name in files)


def test_nothing_in_a_run_is_a_pickle_or_half_a_file(tiny_run: Path):
    files = [p for p in tiny_run.rglob("*") if p.is_file()]
    log = tiny_run / "log"
    outside = {p.suffix for p in files if log not in p.parents}
    assert outside == {".yaml", ".json", ".safetensors", ".npz", ".html"}
    assert {p.suffix for p in files if log in p.parents and "tfevents" not in p.name} <= {".csv", ".yaml", ".json"}
    assert not any(p.name.startswith(".") for p in files)
    with np.load(tiny_run / "calibration.npz", allow_pickle=False) as arrays:
        assert arrays["x"].dtype == np.float32
        assert arrays["held_out"].any() and not arrays["held_out"].all()


def test_metrics_have_the_keys_of_the_contract(tiny_run: Path):
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert set(metrics) >= KEYS
    assert metrics["schema"] == 1
    assert metrics["classes"] == ["clapping", "jogging", "sitting", "walking"]
    assert set(metrics["test"]) >= {"macro_f1", "balanced_accuracy", "per_subject", "confusion"}
    assert set(metrics["test"]["per_subject"]) == {"1600"}
    assert sum(map(sum, metrics["test"]["confusion"])) == metrics["test"]["windows"] == 116
    assert metrics["seconds"].keys() >= {"bank", "codebook", "teacher signal", "teacher persistence", "student"}


def test_the_run_learns_and_its_reasons_add_up(tiny_run: Path):
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert metrics["test"]["macro_f1"] > 0.7
    assert metrics["explanation"]["additivity"] < 1e-4
    assert 0 < metrics["codebook"]["shape_error"] < 1


def test_the_configuration_written_is_the_one_that_was_asked_for(tiny_run: Path):
    config = from_yaml(tiny_run / "config.yaml")
    assert (config.window_s, config.codebook.size, config.pieces.lengths_s) == (4.0, 8, (1.0, 3.0))


def test_the_figures_are_those_of_the_student_in_the_run(tiny_run: Path):
    run = load_run(tiny_run)
    data = load_dataset(run.config)
    judged = judge(run.student, data.test)
    confusion = torch.zeros(4, 4, dtype=torch.long)
    for truth, guess in zip(data.test.y, judged.logits.argmax(-1), strict=True):
        confusion[truth, guess] += 1
    assert json.loads((tiny_run / "metrics.json").read_text())["test"]["confusion"] == confusion.tolist()


def test_codes_are_listed_for_all_lengths_with_probabilities_of_the_sub_actions(tiny_run: Path):
    raw = json.loads((tiny_run / "codes.json").read_text())
    assert len(raw["codes"]) == 2 * 8
    assert [code["length_s"] for code in raw["codes"]] == [1.0] * 8 + [3.0] * 8
    for code in raw["codes"]:
        assert len(code["shape"]) == 1 and len(code["shape"][0]) == 32
        assert len(code["sub_actions"]) == 5
        assert all(0 <= p <= 1 and int(i) < len(raw["sub_actions"]) for i, p in code["sub_actions"].items())
        assert code["name"] is None or code["name"] in raw["sub_actions"]
    assert sum(code["usage"] for code in raw["codes"]) == pytest.approx(2.0, abs=1e-3)


def test_calibration_windows_are_of_training_people_and_those_held_out(tiny_run: Path):
    data = load_dataset(load_run(tiny_run).config)
    with np.load(tiny_run / "calibration.npz") as file:
        x, held_out = file["x"], file["held_out"]
    for rows, part in ((~held_out, data.train), (held_out, data.calibrate)):
        known = {window.tobytes() for window in part.x.numpy()}
        assert {window.tobytes() for window in x[rows]} <= known


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tiny_run: Path, command, tmp_path: Path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert command(main, *options(tiny_run), "--out", again).status == 0
    for name in ("student.safetensors", "codebook.safetensors", "teachers/signal.safetensors", "codes.json"):
        assert digest(again / name) == digest(tiny_run / name), name
    assert command(main, *options(tiny_run), "--out", other, "--seed", 1).status == 0
    assert digest(other / "student.safetensors") != digest(tiny_run / "student.safetensors")


@pytest.mark.parametrize(
    "lost",
    [
        ("student.safetensors", "metrics.json"),
        ("codebook.safetensors", "teachers/signal.safetensors", "student.safetensors"),
    ],
)
def test_resume_makes_what_is_missing_and_it_is_the_same(lost: tuple[str, ...], tiny_run: Path, command, tmp_path):
    run = copied(tiny_run, tmp_path)
    for name in lost:
        (run / name).unlink()
    assert command(main, "--resume", run).status == 0
    for name in ("student.safetensors", "codebook.safetensors", "teachers/signal.safetensors", "codes.json"):
        assert digest(run / name) == digest(tiny_run / name), name
    assert (run / "metrics.json").exists()


def test_resuming_a_finished_run_trains_nothing(tiny_run: Path, command, tmp_path: Path):
    run = copied(tiny_run, tmp_path)
    before = {name: (run / name).stat().st_mtime_ns for name in ("student.safetensors", "codebook.safetensors")}
    assert command(main, "--resume", run).status == 0
    assert {name: (run / name).stat().st_mtime_ns for name in before} == before


def test_ctrl_c_in_mid_stage_ends_with_130_and_resume_goes_on(tiny_run: Path, command, tmp_path: Path):
    run, log = tmp_path / "stopped", tmp_path / "stderr"
    checkpoint = run / "log" / "student.ckpt"
    # More epochs, so that there is time to stop it between the first checkpoint and the end.
    words = [*options(tiny_run), "--student.epochs", "24", "--out", run]
    assert stopped(words, checkpoint, signal.SIGINT, log) == 130, log.read_text()[-2000:]
    assert checkpoint.exists()
    assert not (run / "student.safetensors").exists()
    assert "Traceback" not in log.read_text()
    assert command(main, "--resume", run).status == 0
    assert not checkpoint.exists()
    assert (run / "metrics.json").exists()


def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(tiny_run: Path, command, tmp_path: Path):
    whole, run, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "stderr"
    more = ["--codebook.epochs", "6", "--teachers.epochs", "3", "--student.epochs", "24"]
    words = [*options(tiny_run), *more]
    assert command(main, *words, "--out", whole).status == 0
    start: list[object] = [*words, "--out", run]
    for stage in ("codebook", "teacher-signal", "teacher-persistence", "student"):
        assert stopped(start, run / "log" / f"{stage}.ckpt", signal.SIGKILL, log) == -signal.SIGKILL, log.read_text()
        start = ["--resume", run]
    assert command(main, *start).status == 0
    for name in ("codebook", "teachers/signal", "teachers/persistence", "student"):
        assert digest(run / f"{name}.safetensors") == digest(whole / f"{name}.safetensors"), name
    ours, theirs = (json.loads((path / "metrics.json").read_text()) for path in (run, whole))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_a_directory_that_holds_a_run_is_not_written_into(tiny_run: Path, quick: list[str], command):
    before = digest(tiny_run / "config.yaml")
    ended = command(main, *quick, "--out", tiny_run)
    assert ended.status == 2
    assert "--resume" in ended.err
    assert digest(tiny_run / "config.yaml") == before


def test_a_gpu_that_is_not_there_is_refused_before_there_is_a_run(command, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ended = command(main, "--accelerator", "gpu", "--out", tmp_path / "run")
    assert ended.status == 2 and "torch sees no GPU here" in ended.err
    assert not (tmp_path / "run").exists()


def test_a_truncated_stage_is_refused_by_name(tiny_run: Path, command, tmp_path: Path):
    run = copied(tiny_run, tmp_path)
    path = run / "codebook.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    ended = command(main, "--resume", run)
    assert ended.status == 2
    assert ended.err.splitlines()[-1].startswith(f"mmvq-train: {path}: not a whole")


def test_bank_auto_is_made_from_the_labels_and_says_so(quick: list[str], command, tmp_path: Path):
    ended = command(main, *quick, "--bank", "auto", "--out", tmp_path / "run")
    assert ended.status == 0
    assert "made from the label names" in ended.err
    assert json.loads((tmp_path / "run" / "bank.json").read_text())["name"] == "auto"


def test_a_bank_that_lacks_a_label_is_refused_by_its_name(tiny_run: Path, quick: list[str], command, tmp_path: Path):
    bank = json.loads((tiny_run / "bank.json").read_text())
    del bank["activities"]["jogging"]
    (tmp_path / "bank.json").write_text(json.dumps(bank))
    ended = command(main, *quick, "--bank", tmp_path / "bank.json", "--out", tmp_path / "run")
    assert ended.status == 2
    assert "'jogging'" in ended.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_embeddings_of_other_text_are_refused_before_there_is_a_run(
    tiny_run: Path, quick: list[str], command, tmp_path: Path
):
    text = (tiny_run / "bank.json").read_text().replace("wrist swings forward", "wrist swings ahead")
    (tmp_path / "bank.json").write_text(text)
    shutil.copy(tiny_run / "bank.safetensors", tmp_path / "bank.safetensors")
    ended = command(main, *quick, "--bank", tmp_path / "bank.json", "--out", tmp_path / "run")
    assert ended.status == 2
    assert "stale, it was made from other text" in ended.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_an_action_codebook_of_a_size_that_cannot_be_is_refused_before_there_is_a_run(
    quick: list[str], command, tmp_path: Path
):
    ended = command(main, *quick, "--codebook.actions", "9", "--out", tmp_path / "run")
    assert ended.status == 2
    assert "9 entries asked for; give 12 to 64 for 4 activities" in ended.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_shipped_bank_can_be_asked_for_by_name(quick: list[str], command, tmp_path: Path):
    assert command(main, *quick, "--bank", "wisdm", "--out", tmp_path / "run").status == 0
    assert json.loads((tmp_path / "run" / "bank.json").read_text())["name"] == "wisdm"


@pytest.mark.parametrize(
    ("off", "absent"),
    [
        (["--codebook.text", "none"], None),
        (["--teachers.use", "none"], "teachers"),
        (["--student.method", "kd", "--teachers.use", "self", "gramian:10-2", "random-signal", "codebook",
          "--unlabelled", str(RECORDINGS)], None),
    ],
)
def test_each_part_can_be_switched_off(off: list[str], absent: str | None, quick: list[str], command, tmp_path: Path):
    run = tmp_path / "run"
    assert command(main, *quick, *off, "--out", run).status == 0
    assert absent is None or not (run / absent).exists()
    codes = json.loads((run / "codes.json").read_text())["codes"]
    if "--codebook.text" in off:
        assert all(code["name"] is None for code in codes)
        with torch.no_grad():
            actions = load_run(run).student(torch.randn(2, 80, 3)).actions
        assert sub_action_probabilities(actions).std(-1).max() < 1e-6


def test_one_wearer_trains_all_the_same_and_is_told(small_file: Path, quick: list[str], command, tmp_path: Path):
    from mmvq_bridge.recordings import read_recordings, write_recordings

    whole = read_recordings(small_file)
    alone = replace(whole, recordings=tuple(r for r in whole.recordings if r.subject == "1600"))
    write_recordings(tmp_path / "alone.parquet", alone)
    ended = command(main, *quick, "--data", tmp_path / "alone.parquet", "--out", tmp_path / "run")
    assert ended.status == 0
    assert "WARNING: one wearer only" in ended.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["split"], metrics["subjects"]) == ("time", 1)


def test_the_student_in_the_file_is_the_one_with_its_labels(tiny_run: Path):
    with safe_open(tiny_run / "student.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["mmvq"])
    assert about["labels"] == ["clapping", "jogging", "sitting", "walking"]
    assert about["data"]["licence"].startswith("CC BY 4.0")


def test_the_students_codes_are_the_codebooks(tiny_run: Path):
    student = load_run(tiny_run).student
    with safe_open(tiny_run / "codebook.safetensors", framework="pt") as file:
        for i in range(2):
            assert torch.equal(student.codes[i], file.get_tensor(f"codebooks.{i}.codes"))
    for exact in (student.codes, *student.maps.parameters()):  # in two bytes, as a model file holds them
        assert torch.equal(exact, exact.half().float())


def test_a_run_without_out_goes_under_runs_and_latest_points_at_it(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, _ = parse([])
    first = start_run(config)
    second = start_run(config)
    assert first.parent == second.parent == Path("runs")
    assert first != second
    for run in (first, second):
        mark_latest(run)
        assert Path("runs/latest").resolve() == run.resolve()


def test_an_unfinished_run_cannot_be_loaded(tiny_run: Path, tmp_path: Path):
    run = copied(tiny_run, tmp_path)
    (run / "calibration.npz").unlink()
    with pytest.raises(BadInput, match=r"calibration\.npz"):
        load_run(run)
    (run / "student.safetensors").unlink()
    with pytest.raises(BadInput, match="unfinished"):
        load_run(run)


def test_data_that_cannot_be_used_leave_no_run_behind(tmp_path: Path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert command(main, "--data", "nowhere.parquet").status == 2
    assert not list(tmp_path.glob("runs/*"))


def test_training_from_python_gives_the_metrics(small_file: Path, quick: list[str], tmp_path: Path):
    config, _ = parse([*quick, "--out", str(tmp_path / "run")])
    metrics = train(config, load_dataset(config), start_run(config))
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {**metrics, "seconds": None} == {**written, "seconds": None}
