import hashlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
import tiny_model
from onnx import helper, numpy_helper

from mmvq_bridge.command import BadInput
from mmvq_run.model import VARIABLE, Model, find_model


def refused(tmp_path, data, match):
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=match) as error:
        Model(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def changed(**changes):
    return tiny_model.build(tiny_model.metadata(**changes))


def test_a_model_predicts_and_its_contributions_add_up_to_its_probabilities(model):
    window = np.random.default_rng(0).normal(0, 0.3, (200, 3)).astype(np.float32)
    prediction = model.predict(window)
    logits = prediction.contributions.sum(axis=0) + np.array(model.metadata.bias)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert model.metadata.labels[int(prediction.probabilities.argmax())] == "walking"
    assert np.allclose(prediction.probabilities, expected, atol=1e-6)


def test_a_window_that_is_not_finite_never_reaches_the_model(model):
    window = np.zeros((200, 3), np.float32)
    window[5, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        model.predict(window)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.onnx: No such file"):
        Model(tmp_path / "gone.onnx")


@pytest.mark.parametrize("data", [b"not onnx at all", b"PAR1" + bytes(100), b"\x89PNG\r\n\x1a\n", b"MMVQCAP1"])
def test_a_foreign_file_is_refused(tmp_path, data):
    refused(tmp_path, data, "no whole ONNX file")


def test_an_empty_file_is_refused(tmp_path):
    refused(tmp_path, b"", "empty")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_refused(tmp_path, share):
    data = tiny_model.build()
    refused(tmp_path, data[: int(len(data) * share)], "no whole ONNX file|without the property")


def test_a_model_without_metadata_is_refused(tmp_path):
    refused(tmp_path, tiny_model.graph().SerializeToString(), "without the property mmvq")


def test_a_model_without_checksum_is_refused(tmp_path):
    model = tiny_model.graph()
    model.metadata_props.add(key="mmvq", value="{}")
    refused(tmp_path, model.SerializeToString(), "without the property mmvq.sha256")


def test_every_changed_byte_is_noticed(tmp_path):
    data = bytearray(tiny_model.build())
    for at in np.random.default_rng(1).integers(0, len(data), 40):
        hurt = data.copy()
        hurt[at] ^= 0x10
        refused(tmp_path, bytes(hurt), "checksum|whole ONNX|without the property")


def test_the_checksum_is_that_of_the_contract(tmp_path):
    data = tiny_model.build()
    properties = {p.key: p.value for p in onnx.load_from_string(data).metadata_props}
    digits = properties["mmvq.sha256"]
    assert hashlib.sha256(data.replace(digits.encode(), b"0" * 64)).hexdigest() == digits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema 2"),
        ({"labels": []}, "labels is empty"),
        ({"labels": ["a", "a", "b"]}, "names one twice"),
        ({"labels": ["a", "b\x1b[2J", "c"]}, "no name"),
        ({"labels": ["a", "b"], "bias": [0, 0]}, "probabilities"),
        ({"labels": 3}, "labels is no list"),
        ({"units": "ms2"}, "units"),
        ({"axes": "zyx"}, "axes"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": "20"}, "rate_hz"),
        ({"window": 150}, "its metadata say"),
        ({"window": 199.5}, "whole number"),
        ({"window": 10**9}, "window"),
        ({"hop_s": 0}, "hop_s"),
        ({"bias": [0, 0]}, "2 values of bias for 3 labels"),
        ({"bias": [0, 0, None]}, "bias"),
        ({"temperature": 0}, "temperature"),
        ({"unknown_threshold": None}, "unknown_threshold"),
        ({"sub_actions": ["one"]}, "sub_actions"),
        ({"codes": []}, "leaves the metadata's 0 codes"),
        ({"codes": [1, 2, 3]}, "codes holds"),
        ({"judge": {"enter": 7}}, "judge has enter"),
        ({"judge": 7}, "judge"),
        ({"bias": [0, 0, float("nan")]}, "NaN"),
    ],
)
def test_metadata_that_cannot_be_meant_are_refused(tmp_path, changes, message):
    refused(tmp_path, changed(**changes), message)


def test_more_keys_in_the_metadata_are_ignored(tmp_path):
    (tmp_path / "m.onnx").write_bytes(changed(later={"a": 1}))
    assert Model(tmp_path / "m.onnx").metadata.name == "tiny"


def test_metadata_nested_without_end_are_refused(tmp_path):
    model = tiny_model.graph()
    model.metadata_props.add(key="mmvq", value="[" * 200_000)
    model.metadata_props.add(key="mmvq.sha256", value="0" * 64)
    data = model.SerializeToString()
    refused(tmp_path, data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode()), "nested too deeply")


def test_a_model_for_many_windows_at_once_is_refused(tmp_path):
    refused(tmp_path, tiny_model.seal(tiny_model.graph(batch=4), tiny_model.metadata()), "for 4 windows at once")


def test_a_model_that_lacks_an_output_or_has_another_input_is_refused(tmp_path):
    graph = tiny_model.graph()
    del graph.graph.output[3]
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "no output margins")
    graph = tiny_model.graph()
    graph.graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info("text", onnx.TensorProto.FLOAT, [1]))
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "its inputs are accel, text")


def test_data_outside_of_the_file_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside.bin").write_bytes(np.zeros(3, np.float32).tobytes())
    graph = tiny_model.graph()
    tensor = next(t for t in graph.graph.initializer if t.name == "offset")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="outside.bin")
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "ONNX Runtime cannot load it")


def hostile(nodes, **constants):
    graph = tiny_model.graph()
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    return graph


def test_sizes_inside_of_the_graph_that_nothing_could_hold_are_refused(tmp_path):
    many = [helper.make_node("ConstantOfShape", ["many"], ["huge"]), helper.make_node("ReduceSum", ["huge"], ["sum"])]
    graph = hostile(many, many=[1 << 40])
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "fails on a window")
    graph = hostile([helper.make_node("Neg", ["lie"], ["more"])])
    graph.graph.initializer.add(name="lie", data_type=onnx.TensorProto.FLOAT, dims=[1 << 40], raw_data=b"four")
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "ONNX Runtime cannot load it")
    graph = hostile([helper.make_node("Expand", ["margin", "many"], ["margins"])], many=[1 << 38, 1, 1])
    next(node for node in graph.graph.node if "margins" in node.output).output[0] = "before"
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "its output margins is")


@pytest.mark.parametrize("inside", ["graph", "function"])
def test_a_graph_that_could_run_for_ever_is_refused(tmp_path, inside):
    info = helper.make_tensor_value_info
    value, flag = (onnx.TensorProto.FLOAT, [1]), (onnx.TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["v"], ["v2"])], "body",
        [info("i", onnx.TensorProto.INT64, []), info("c", *flag), info("v", *value)],
        [info("c2", *flag), info("v2", *value)],
    )
    loop = helper.make_node("Loop", ["count", "go_on", "start"], ["end"], body=body)
    if inside == "graph":
        graph = hostile([loop], count=np.int64(1 << 62), go_on=True, start=np.zeros(1, np.float32))
    else:
        graph = tiny_model.graph()
        opset = [helper.make_opsetid("", 20)]
        graph.functions.append(
            helper.make_function("own", "Calm", ["count", "go_on", "start"], ["end"], [loop], opset)
        )
    refused(tmp_path, tiny_model.seal(graph, tiny_model.metadata()), "its graph has Loop, which may run for ever")


def test_the_model_is_looked_up_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    latest = tmp_path / "runs" / "latest" / "student.onnx"
    latest.parent.mkdir(parents=True)
    latest.touch()
    assert find_model("a.onnx", {VARIABLE: "b.onnx"}).name == "a.onnx"
    assert find_model(None, {VARIABLE: "b.onnx"}).name == "b.onnx"
    assert find_model(None, {}).resolve() == latest


def test_without_an_onnxruntime_one_line_names_the_extra(model_path):
    load = f"from mmvq_run.model import Model; Model({str(model_path)!r})"
    code = f"import sys; sys.modules['onnxruntime'] = None; {load}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'mmvq[cpu]'" in done.stderr.splitlines()[-1]
