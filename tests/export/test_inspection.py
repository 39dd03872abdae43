"""mmvq-export inspect: what a person is told of a model file, in the terminal and on a page."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mmvq_export.anatomy import bytes_by_part, operations
from mmvq_export.cli import main
from mmvq_export.export import export_run
from mmvq_export.inspection import sparks
from mmvq_export.metadata import check, seal
from mmvq_run.model import PACKAGED
from mmvq_train.rundir import load_run

from .conftest import about


@pytest.fixture(scope="module")
def file(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(export_run(tiny_run, "int8", "x86", 1).data([]))
    return path


def test_the_terminal_tells_what_the_model_is_and_draws_every_code(file: Path, command: Callable[..., Any]):
    ended = command(main, "inspect", file)
    assert (ended.status, ended.err) == (0, "")
    words = about(file.read_bytes())
    assert "80 samples at 20 Hz (4 s) of x, y, z in g, every 2 s" in ended.out
    assert "4 labels    clapping, jogging, sitting, walking" in ended.out
    assert "wisdm_watch_embedded; Weiss, Yoneda, Hayajneh" in ended.out and "int8 static QDQ, x86" in ended.out
    assert "signature   none" in ended.out
    drawn = re.findall(r"^ +(\d+)  [▁▂▃▄▅▆▇█]{32} ", ended.out, re.MULTILINE)
    assert sorted(map(int, drawn)) == list(range(len(words["codes"])))
    for what in words["parity"]:
        assert what in ended.out


def test_a_page_draws_every_code_and_fetches_nothing(file: Path, command: Callable[..., Any], tmp_path: Path):
    page = tmp_path / "model.html"
    assert command(main, "inspect", file, "--html", page).status == 0
    text = page.read_text(encoding="utf-8")
    assert text.count('class="card code') == len(about(file.read_bytes())["codes"]) == text.count("<svg")
    assert "http" not in re.sub(r"doi|https?://www\.w3\.org/\S+", "", text)
    assert "<script" not in text


@pytest.mark.parametrize(("batch", "told"), [(4, "; 4 windows a call"), ("dynamic", "every 2 s\n")])
def test_files_for_many_windows_a_call_can_be_looked_into(
    batch: Any, told: str, tiny_run: Path, command: Callable[..., Any], tmp_path: Path
):
    path = tmp_path / "server.onnx"
    path.write_bytes(export_run(tiny_run, "none", "x86", batch).data([]))
    ended = command(main, "inspect", path)
    assert (ended.status, ended.err) == (0, "")
    assert told in ended.out.replace("\n            ", " ")


def test_without_a_model_named_it_is_the_one_that_mmvq_run_takes(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMVQ_MODEL", raising=False)
    told = about(PACKAGED.read_bytes())
    assert f"{told['name']}, run {told['run']}" in command(main, "inspect").out


def test_a_foreign_or_changed_file_is_refused_in_one_line(file: Path, command: Callable[..., Any], tmp_path: Path):
    bad = tmp_path / "bad.onnx"
    changed = file.read_bytes().replace(b"walking", b"wolking")
    for data, words in ((b"PAR1", "no whole ONNX file"), (changed, "checksum")):
        bad.write_bytes(data)
        ended = command(main, "inspect", bad)
        assert ended.status == 2
        assert words in ended.err and ended.err.count("\n") == 1


def test_metadata_that_do_not_keep_the_schema_are_neither_shown_nor_written(
    file: Path, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = about(file.read_bytes())
    words["codes"][3]["shape"] = [[0.0] * 31]
    with pytest.raises(ValueError, match=r"codes\[3\]\.shape"):
        seal(onnx.load(file), words)
    monkeypatch.setattr("mmvq_export.metadata.check", lambda about: None)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(seal(onnx.load(file), words))
    ended = command(main, "inspect", bad)
    assert ended.status == 2
    assert "do not keep the schema (codes[3].shape" in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, '"words"'])
def test_metadata_that_are_no_object_are_refused(file: Path, text: str, command: Callable[..., Any], tmp_path: Path):
    model = onnx.load(file)
    for entry in model.metadata_props:
        entry.value = text if entry.key == "mmvq" else "0" * 64
    data = model.SerializeToString()
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode()))
    ended = command(main, "inspect", bad)
    assert ended.status == 2
    assert "do not keep the schema" in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize("key", ["labels", "bias", "codes", "parity", "judge", "unknown_threshold"])
def test_the_schema_asks_for_every_key_of_the_contract(file: Path, key: str):
    words = about(file.read_bytes())
    check(words)
    del words[key]
    with pytest.raises(ValueError, match=key):
        check(words)


def test_a_reader_that_stops_early_is_no_error(file: Path):
    words = [sys.executable, "-m", "mmvq_export", "inspect", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdout is not None and asked.stderr is not None
        asked.stdout.close()  # before a line is written
        assert asked.stderr.read() == b""
    assert asked.returncode == 0


def test_parts_add_up_to_the_file(file: Path, tiny_run: Path):
    data = file.read_bytes()
    parts = bytes_by_part(data)
    assert sum(parts.values()) == len(data)
    assert parts["metadata"] >= len(json.dumps(about(data), ensure_ascii=False, separators=(",", ":")))
    unknown = load_run(tiny_run).student.unlikeness
    numbers = sum(value.numel() for value in unknown.buffers() if value.ndim == 2)
    assert numbers <= parts["unknown score"] <= numbers + 100  # a byte each, and two names


def test_operations_are_those_of_the_products():
    weights = [
        numpy_helper.from_array(np.zeros(size, np.float32), name)
        for name, size in (("filters", (4, 3, 5)), ("matrix", (10, 2)))
    ]
    nodes = [
        onnx.helper.make_node("Conv", ["x", "filters"], ["cut"]),  # (1, 3, 14) -> (1, 4, 10)
        onnx.helper.make_node("Relu", ["cut"], ["positive"]),
        onnx.helper.make_node("MatMul", ["positive", "matrix"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("x", ["batch", 3, 14]), ("y", ["batch", 4, 2]))]
    graph = onnx.helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    assert operations(model.SerializeToString()) == (2 * 4 * 10 * 15 + 2 * 4 * 2 * 10, 40)


def test_sparks_show_a_curve_from_its_lowest_to_its_highest_value():
    assert sparks([0, 1, 2, 7]) == "▁▂▃█"
    assert sparks([3, 3, 3]) == "▁▁▁"
