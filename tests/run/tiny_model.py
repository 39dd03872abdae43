"""A small but true model file: additive, with four axes of code, checksum and metadata, for the tests of the runtime.

A window of 200 samples is cut into ten pieces of 1 s. A piece's code on an axis is 0, 1 or 2 by its deviation (still,
moving, shaken: under .05 g, under .5 g, more); its contribution speaks for `sitting`, `walking` or `jogging` by the
mean of its axes' codes. So what a signal must be called is known without any training.
"""

import hashlib
import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = ["sitting", "walking", "jogging"]
WINDOW, RATE, TOKENS, PER_TOKEN = 200, 20.0, 10, 20
SUB_ACTIONS = ["arm rests", "wrist swings forward"]
BIAS = [0.0, 0.0, 0.0]
TEMPERATURE = 1.0


def metadata(**changes: Any) -> dict[str, Any]:
    codes = [
        {"shape": [[0.0] * 32], "length_s": 1.0, "usage": 0.4, "sub_actions": {"0": 0.9}, "name": "arm rests"},
        {"shape": [[0.0] * 32], "length_s": 1.0, "usage": 0.4, "sub_actions": {"1": 0.8}, "name": None},
        {"shape": [[0.0] * 32], "length_s": 1.0, "usage": 0.2, "sub_actions": {}, "name": None},
    ]
    return {
        "schema": 1, "name": "tiny", "run": "test", "labels": LABELS, "rate_hz": RATE, "window": WINDOW, "hop_s": 1.0,
        "units": "g", "axes": "xyz", "bias": BIAS, "temperature": TEMPERATURE, "unknown_threshold": 6.0,
        "sub_actions": SUB_ACTIONS, "codes": codes,
        "judge": {"enter": 0.6, "leave": 0.45, "min_duration_s": 2.0, "refractory_s": 2.0},
        "data": [], "quantization": "none", "parity": {},
    } | changes  # fmt: skip


def build(meta: dict[str, Any] | None = None, window: int = WINDOW, batch: int = 1) -> bytes:
    """A whole model file; `meta` replaces its metadata."""
    return seal(graph(window, batch), metadata() if meta is None else meta)


def seal(model: onnx.ModelProto, meta: dict[str, Any]) -> bytes:
    del model.metadata_props[:]
    for key, value in (("mmvq", json.dumps(meta)), ("mmvq.sha256", "0" * 64)):
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString()
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(b"0" * 64, digest.encode())


def graph(window: int = WINDOW, batch: int = 1) -> onnx.ModelProto:
    def const(name: str, value: Any, dtype: Any = np.float32) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value, dtype), name)

    seconds = np.arange(TOKENS, dtype=np.float32)[None, :, None, None] * np.ones((1, 1, 3, 1), np.float32)
    initializers = [
        const("pieces", [1, TOKENS, window // TOKENS, 3], np.int64),
        const("still", 0.05), const("shaken", 0.5),
        const("starts", seconds), const("lengths", np.ones_like(seconds)),
        const("margin", np.full((1, TOKENS, 3), 0.5)),
        # code mean 0, 1, 2 -> logits of 0.5 each piece: -(mean - k)^2 / 2 up to what all classes share
        const("weight", np.array([[0.0, 1.0, 2.0]]) * 0.5), const("offset", np.array([0.0, -0.25, -1.0])),
        const("rest", np.array([[-2.0, 2.0]])), const("bias", np.array([BIAS])), const("temperature", TEMPERATURE),
        const("time_axis", [2], np.int64), const("last_axis", [3], np.int64), const("token_axis", [1], np.int64),
        const("axis_axis", [2], np.int64), const("all_axes", [1, 2], np.int64), const("two", 2.0),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Reshape", ["accel", "pieces"], ["cut"]),
        helper.make_node("ReduceMean", ["cut", "time_axis"], ["mean_kept"], keepdims=1),
        helper.make_node("Sub", ["cut", "mean_kept"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "time_axis"], ["variance"], keepdims=0),
        helper.make_node("Sqrt", ["variance"], ["deviation"]),
        helper.make_node("Greater", ["deviation", "still"], ["moves"]),
        helper.make_node("Greater", ["deviation", "shaken"], ["shakes"]),
        helper.make_node("Cast", ["moves"], ["moves_i"], to=TensorProto.INT64),
        helper.make_node("Cast", ["shakes"], ["shakes_i"], to=TensorProto.INT64),
        helper.make_node("Add", ["moves_i", "shakes_i"], ["codes"]),
        helper.make_node("Cast", ["codes"], ["codes_f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["codes_f", "axis_axis"], ["level"], keepdims=1),
        helper.make_node("MatMul", ["level", "weight"], ["spoken"]),
        helper.make_node("Add", ["spoken", "offset"], ["contributions"]),
        helper.make_node("ReduceSum", ["contributions", "token_axis"], ["total"], keepdims=0),
        helper.make_node("Add", ["total", "bias"], ["logits"]),
        helper.make_node("Div", ["logits", "temperature"], ["cool"]),
        helper.make_node("Softmax", ["cool"], ["probabilities"], axis=1),
        helper.make_node("Squeeze", ["mean_kept", "time_axis"], ["offset_g"]),
        helper.make_node("Unsqueeze", ["offset_g", "last_axis"], ["offset_column"]),
        helper.make_node("Unsqueeze", ["deviation", "last_axis"], ["scale_column"]),
        helper.make_node("Concat", ["starts", "lengths", "offset_column", "scale_column"], ["attributes"], axis=3),
        helper.make_node("Identity", ["margin"], ["margins"]),
        helper.make_node("MatMul", ["level", "rest"], ["action_logits"]),
        helper.make_node("Softmax", ["action_logits"], ["sub_actions"], axis=2),
        helper.make_node("ReduceMax", ["deviation", "all_axes"], ["unknown_score"], keepdims=0),
    ]
    shapes = {
        "probabilities": [batch, 3], "unknown_score": [batch], "codes": [batch, TOKENS, 3],
        "margins": [batch, TOKENS, 3], "attributes": [batch, TOKENS, 3, 4], "contributions": [batch, TOKENS, 3],
        "sub_actions": [batch, TOKENS, 2],
    }  # fmt: skip
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64 if name == "codes" else TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    accel = helper.make_tensor_value_info("accel", TensorProto.FLOAT, [batch, window, 3])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", [accel], outputs, initializers), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 8
    return model
