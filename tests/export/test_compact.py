"""A compacted graph says the same in fewer nodes and bytes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from mmvq_export.compact import compact


def made(nodes: list[onnx.NodeProto], shape: list[int | str], **constants: np.ndarray) -> onnx.ModelProto:
    """x of that shape -> y."""
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [shape[0], 2, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def said(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


LAST = np.array([-1])


@pytest.mark.parametrize("batch", [2, "batch"])
@pytest.mark.parametrize(
    ("nodes", "shape", "kinds"),
    [
        ([("Unsqueeze", ["x", "last"]), ("Squeeze", ["a", "last"]), ("Neg", ["b"])], [2, 3], ["Neg"]),
        ([("Unsqueeze", ["x", "last"]), ("Reshape", ["a", "flat"]), ("Neg", ["b"])], [6], ["Reshape", "Neg"]),
        ([("Unsqueeze", ["x", "last"]), ("Neg", ["a"]), ("Squeeze", ["b", "last"])], [2, 3], None),
        # the result itself keeps its name, though it is the input's
        ([("Unsqueeze", ["x", "last"]), ("Squeeze", ["a", "last"])], [2, 3], ["Reshape"]),
    ],
)
def test_changes_of_shape_that_follow_each_other_become_one_or_none(nodes, shape, kinds, batch):
    names = [*"ab"[: len(nodes) - 1], "y"]
    chain = [helper.make_node(kind, inputs, [name]) for (kind, inputs), name in zip(nodes, names, strict=True)]
    model = made(chain, [batch, *shape], last=LAST, flat=np.array([-1, 6]))
    x = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
    before = said(model, x)
    compact(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == (kinds or [kind for kind, _ in nodes])
    np.testing.assert_array_equal(said(model, x), before)


def test_a_shape_that_others_read_too_stays_for_them():
    chain = [
        helper.make_node("Unsqueeze", ["x", "last"], ["a"]), helper.make_node("Reshape", ["a", "flat"], ["b"]),
        helper.make_node("ReduceSum", ["a", "last"], ["c"], keepdims=0),
        helper.make_node("Reshape", ["c", "flat"], ["d"]), helper.make_node("Add", ["b", "d"], ["y"]),
    ]
    model = made(chain, [2, 6], last=LAST, flat=np.array([-1, 6]))
    x = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
    compact(model)
    np.testing.assert_array_equal(said(model, x), 2 * x.reshape(2, 6))


@pytest.mark.parametrize(("value", "stored"), [
    (1.0, onnx.TensorProto.INT8), (2.0, onnx.TensorProto.FLOAT16), (0.5, onnx.TensorProto.FLOAT16),
    (0.1, onnx.TensorProto.FLOAT),
])
def test_constants_take_bytes_or_halves_where_nothing_is_lost(value: float, stored: int):
    weights = value * (np.arange(300, dtype=np.float32).reshape(3, 100) % 101)
    model = made([helper.make_node("MatMul", ["x", "weights"], ["y"])], [2, 2, 100], weights=weights)
    x = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
    before = said(model, x)
    compact(model)
    [constant] = model.graph.initializer
    assert constant.data_type == stored
    np.testing.assert_array_equal(said(model, x), before)


def test_rows_that_are_equal_are_kept_once():
    constant = np.random.default_rng(1).normal(size=(3, 200)).astype(np.float32)[[0, 2, 0, 1, 2, 0, 0, 2]]
    model = made([helper.make_node("ReduceSum", ["x"], ["a"]), helper.make_node("Add", ["a", "rows"], ["y"])],
                 [2, 8, 200], rows=constant)
    x = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
    before = said(model, x)
    compact(model)
    assert sum(tensor.ByteSize() for tensor in model.graph.initializer) < 0.5 * constant.nbytes
    np.testing.assert_array_equal(said(model, x), before)
