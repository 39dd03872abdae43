"""The model file of DESIGN 3.5: its form, and what it says."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mmvq_export.export import Exported, export_run
from mmvq_export.gates import honesty_error, run_file, run_student
from mmvq_run.model import Model
from mmvq_train.rundir import load_run

from .conftest import about

CLASSES, AXES, WINDOW = 4, 3, 80
TOKENS = 3 + 2  # 1 s every 1.5 s, and 3 s every second, in 4 s
CODES = 2 * 8
KEYS = {
    "schema", "name", "run", "labels", "rate_hz", "window", "hop_s", "units", "axes", "bias", "temperature",
    "unknown_threshold", "sub_actions", "codes", "judge", "data", "quantization", "parity",
}  # fmt: skip


@pytest.fixture(scope="module", params=["none", "int8"])
def exported(request: pytest.FixtureRequest, tiny_run: Path) -> Exported:
    return export_run(tiny_run, request.param, "x86", 1)


@pytest.fixture(scope="module")
def data(exported: Exported) -> bytes:
    """The file; gates that so small a student may fail are overruled, as --force does."""
    return exported.data([gate.name for gate in exported.gates if not gate.passed])


@pytest.fixture(scope="module")
def path(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "student.onnx"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def held_out(tiny_run: Path) -> np.ndarray:
    calibration = load_run(tiny_run).calibration
    return calibration["x"][calibration["held_out"]]


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


# The file


def test_inputs_and_outputs_are_those_of_the_contract(data: bytes):
    graph = onnx.load_from_string(data).graph
    actions = len(about(data)["sub_actions"])
    assert [(v.name, shape(v)) for v in graph.input] == [("accel", [1, WINDOW, 3])]
    assert [(v.name, shape(v)) for v in graph.output] == [
        ("probabilities", [1, CLASSES]),
        ("unknown_score", [1]),
        ("codes", [1, TOKENS, AXES]),
        ("margins", [1, TOKENS, AXES]),
        ("attributes", [1, TOKENS, AXES, 4]),
        ("contributions", [1, TOKENS, CLASSES]),
        ("sub_actions", [1, TOKENS, actions]),
    ]
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    assert kinds.pop("codes") == onnx.TensorProto.INT64
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT}


def test_metadata_have_every_key_of_the_contract(data: bytes, tiny_run: Path):
    found = about(data)
    assert set(found) >= KEYS
    assert (found["schema"], found["units"], found["axes"], found["window"]) == (1, "g", "xyz", WINDOW)
    assert found["labels"] == ["clapping", "jogging", "sitting", "walking"]
    assert len(found["bias"]) == CLASSES
    assert len(found["codes"]) == CODES
    told = {"shape", "length_s", "view", "usage", "sub_actions", "name"}  # and not the test behind the name
    written = json.loads((tiny_run / "codes.json").read_text())["codes"]
    assert set(written[0]) == told | {"bits", "p"}
    for one, code in zip(found["codes"], written, strict=True):
        assert set(one) == told
        np.testing.assert_allclose(one["shape"], code["shape"], atol=0.0051)  # drawn with two decimals
        assert all(one[key] == code[key] for key in told - {"shape"})
    assert set(found["data"][0]) == {"name", "citation", "licence"}
    assert {"enter", "leave"} <= set(found["judge"])


def test_the_file_is_a_valid_model_of_at_most_opset_20(data: bytes):
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    assert all(entry.version <= 20 for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    assert all(entry.domain in ("", "ai.onnx") for entry in model.opset_import if entry.version)


def test_the_file_is_self_contained_and_tells_nothing_of_this_machine(data: bytes, tiny_run: Path):
    model = onnx.load_from_string(data)
    graph = model.graph
    assert not any(tensor.external_data for tensor in graph.initializer)
    assert not any(p.doc_string for p in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output))
    assert not any(node.metadata_props for node in graph.node)
    for part in (str(tiny_run), str(Path.home()), str(Path.cwd()), "site-packages", ".py", "/tmp"):
        assert part.encode() not in data, part
    assert {p.key for p in model.metadata_props} == {"mmvq", "mmvq.sha256"}


def test_the_checksum_is_of_the_bytes_with_its_own_digits_zero(data: bytes):
    [digest] = [p.value for p in onnx.load_from_string(data).metadata_props if p.key == "mmvq.sha256"]
    assert data.count(digest.encode()) == 1
    assert hashlib.sha256(data.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


def test_the_same_run_gives_the_same_bytes(exported: Exported, data: bytes, tiny_run: Path):
    kind = "int8" if exported.quantization != "none" else "none"
    again = export_run(tiny_run, kind, "x86", 1)
    assert again.data([gate.name for gate in again.gates if not gate.passed]) == data


def test_the_runtime_loads_the_file_and_predicts(path: Path, held_out: np.ndarray):
    model = Model(path)
    assert model.metadata.labels == ("clapping", "jogging", "sitting", "walking")
    found = model.predict(held_out[0])
    assert found.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert found.attributes.shape == (TOKENS, AXES, 4)


# What it says


def test_contributions_add_up_to_the_logits_that_probabilities_imply(
    data: bytes, held_out: np.ndarray, tiny_run: Path
):
    out, props = run_file(data, held_out), about(data)
    logits = out["contributions"].astype(np.float64).sum(1) + props["bias"]
    implied = props["temperature"] * np.log(out["probabilities"].astype(np.float64))
    for one, other in zip(logits - logits.max(1, keepdims=True), implied - implied.max(1, keepdims=True), strict=True):
        likely = other > -20
        assert np.abs(one - other)[likely].max() < 1e-4
    student = load_run(tiny_run).student
    score = student.unlikeness(student.by_length(torch.from_numpy(out["contributions"]))).numpy()
    assert np.allclose(out["unknown_score"], score, rtol=1e-3, atol=1e-2)


def test_a_token_does_not_change_with_the_signal_outside_its_span(data: bytes, held_out: np.ndarray):
    x = held_out[:2]
    before = run_file(data, x)
    spans = before["attributes"][0, :, 0, :2]
    for token, (t, length) in enumerate(spans):
        begin = round(float(t) * 20)
        changed = np.random.default_rng(token).normal(0, 1, x.shape).astype(np.float32)
        end = begin + round(float(length) * 20)
        changed[:, begin:end] = x[:, begin:end]
        after = run_file(data, changed)
        assert np.array_equal(after["codes"][:, token], before["codes"][:, token])
        for name in ("attributes", "contributions", "sub_actions"):
            assert np.abs(after[name][:, token] - before[name][:, token]).max() < 1e-5
        assert not np.allclose(after["probabilities"], before["probabilities"], atol=1e-6)


def test_the_gate_on_honesty_sees_a_token_that_peeks(tiny_run: Path, held_out: np.ndarray):
    honest = export_run(tiny_run, "none", "x86", 1).model
    peeking = onnx.ModelProto()
    peeking.CopyFrom(honest)
    for node in peeking.graph.node:
        for i, name in enumerate(node.output):
            if name == "contributions":
                node.output[i] = "own"
        for i, name in enumerate(node.input):
            if name == "contributions":
                node.input[i] = "own"
    peeking.graph.node.extend([
        onnx.helper.make_node("ReduceMean", ["accel"], ["peek"], keepdims=0),
        onnx.helper.make_node("Add", ["own", "peek"], ["contributions"]),
    ])
    assert honesty_error(honest.SerializeToString(), held_out, 1, 20.0) < 1e-5
    assert honesty_error(peeking.SerializeToString(), held_out, 1, 20.0) > 1e-3


def test_codes_index_the_list_of_all_lengths(data: bytes, held_out: np.ndarray):
    out, codes = run_file(data, held_out), about(data)["codes"]
    assert [code["length_s"] for code in codes] == [1.0] * 8 + [3.0] * 8
    for token in range(TOKENS):
        lengths = {codes[code]["length_s"] for code in out["codes"][:, token].flatten().tolist()}
        assert lengths == {round(float(out["attributes"][0, token, 0, 1]), 3)}


def test_the_float_file_says_what_the_student_said(tiny_run: Path, held_out: np.ndarray):
    exported = export_run(tiny_run, "none", "x86", 1)
    truth = run_student(load_run(tiny_run).student, held_out)
    found = run_file(exported.model.SerializeToString(), held_out)
    assert all(gate.passed for gate in exported.gates)
    assert (truth["codes"] == found["codes"]).mean() > 0.999
    for name in ("probabilities", "attributes", "contributions", "sub_actions"):
        assert np.allclose(truth[name], found[name], atol=2e-4), name
    assert np.allclose(truth["unknown_score"], found["unknown_score"], rtol=1e-3, atol=1e-2)  # squares, large ones


def test_int8_is_in_the_file_and_the_path_to_the_codes_stays_in_float(exported: Exported, held_out: np.ndarray):
    kinds = [tensor.data_type for tensor in exported.model.graph.initializer]
    if exported.quantization == "none":
        assert onnx.TensorProto.INT8 not in kinds
        return
    assert onnx.TensorProto.INT8 in kinds
    truth = run_student(exported.run.student, held_out)
    assert (truth["codes"] == run_file(exported.model.SerializeToString(), held_out)["codes"]).mean() > 0.99


def test_arm64_can_be_asked_for(tiny_run: Path, held_out: np.ndarray):
    exported = export_run(tiny_run, "int8", "arm64", 1)
    assert exported.quantization == "int8 static QDQ, arm64"
    activations = {t.data_type for t in exported.model.graph.initializer} & {onnx.TensorProto.UINT8}
    assert not activations  # kernels of arm64 want signed ones
    assert np.isfinite(run_file(exported.model.SerializeToString(), held_out[:3])["probabilities"]).all()


@pytest.mark.parametrize(("batch", "quantization"), [(4, "int8"), ("dynamic", "none"), ("dynamic", "int8")])
def test_more_windows_a_call_give_the_same_rows(batch: Any, quantization: str, tiny_run: Path, held_out: np.ndarray):
    many = export_run(tiny_run, quantization, "x86", batch)
    session = onnxruntime.InferenceSession(many.model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == (4 if batch == 4 else "batch")
    [rows] = session.run(["contributions"], {"accel": held_out[:4]})
    alone = run_file(many.model.SerializeToString(), held_out[:4], 4)["contributions"]
    assert rows.shape == (4, TOKENS, CLASSES)
    assert np.array_equal(rows, alone)
    if quantization == "none":
        one = run_file(export_run(tiny_run, "none", "x86", 1).model.SerializeToString(), held_out[:4])
        assert np.allclose(rows, one["contributions"], atol=1e-5)
    if batch == "dynamic":
        assert session.run(["codes"], {"accel": held_out[:7]})[0].shape == (7, TOKENS, AXES)


def test_the_runtime_predicts_many_windows_in_one_call_as_one_by_one(
    tiny_run: Path, held_out: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "many.onnx"
    exported = export_run(tiny_run, "int8", "x86", "dynamic")
    path.write_bytes(exported.data([gate.name for gate in exported.gates if not gate.passed]))
    model, sizes = Model(path), []
    ask = model._ask
    monkeypatch.setattr(model, "_ask", lambda windows: sizes.append(len(windows)) or ask(windows))
    many, alone = model.predict_many(list(held_out[:9])), [model.predict(window) for window in held_out[:9]]
    assert sizes[0] == 9
    for one, other in zip(many, alone, strict=True):
        assert np.array_equal(one.codes, other.codes)
        assert one.unknown_score == pytest.approx(other.unknown_score, abs=1e-5)
        assert np.allclose(one.contributions, other.contributions, atol=1e-5)


def test_the_traced_graph_has_no_random_and_no_training_nodes(data: bytes):
    operators = {node.op_type for node in onnx.load_from_string(data).graph.node}
    assert not operators & {"Dropout", "BatchNormalization", "RandomNormal", "Loop", "If"}
    assert torch.get_default_dtype() == torch.float32
