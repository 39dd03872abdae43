"""What takes what in a model file: bytes by part, and the arithmetic of a call."""

from typing import Final, NamedTuple

import numpy as np
import onnx

PRODUCTS: Final = ("Conv", "Gemm", "MatMul", "MatMulInteger")


class Work(NamedTuple):
    """A node's kind, whether it multiplies bytes, its multiplications and additions (two for each pair), and how many
    numbers it writes."""

    kind: str
    in_bytes: bool
    products: int
    written: int


def bytes_by_part(data: bytes) -> dict[str, int]:
    """Of a student's file, largest first; they add up to all of it."""
    model = onnx.load_from_string(data)
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    window = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    found = {"metadata": sum(len(one.value.encode()) for one in model.metadata_props)}
    for tensor in model.graph.initializer:
        kind = _kind(tensor, users, window)
        found[kind] = found.get(kind, 0) + tensor.ByteSize()
    found["graph"] = len(data) - sum(found.values())
    return dict(sorted(found.items(), key=lambda part: -part[1]))


def _kind(tensor: onnx.TensorProto, users: dict[str, list[onnx.NodeProto]], window: int) -> str:
    """By who reads it, past a cast to float; what multiplies whole windows cuts the longest piece."""
    name, reader = tensor.name, users[tensor.name][0]
    while reader.op_type in ("DequantizeLinear", "Cast") and reader.input[0] == name:
        name, reader = reader.output[0], users[reader.output[0]][0]
    if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
        if reader.op_type == "Mul" and len(tensor.dims) == 2:  # those of the networks are stacked, one a length
            return "unknown score"
        return "tables of codes" if reader.op_type == "Gather" else "networks, 8 bits"
    if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and len(tensor.dims) >= 2:
        if reader.op_type == "Conv":
            return "filters that cut pieces" if tensor.data_type == onnx.TensorProto.FLOAT16 else "networks, float"
        if reader.op_type in ("MatMul", "Sub") and list(reader.input).index(name) == 1:
            return "filters that cut pieces" if tensor.dims[0] == window else "codes, maps to them"
    return "scales, biases, indices"


def work(data: bytes) -> list[Work]:
    """Of every node of a call; of a graph with a dynamic batch for one window."""
    model = onnx.load_from_string(data)
    for value in (*model.graph.input, *model.graph.output):
        batch = value.type.tensor_type.shape.dim
        if batch and not batch[0].dim_value:
            batch[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    in_bytes = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    found = []
    for node in graph.node:
        written = sum(int(np.prod(sizes.get(name, [0]))) for name in node.output)
        depth = 0
        if node.op_type == "Conv":
            depth = int(np.prod(sizes[node.input[1]][1:]))
        elif node.op_type in PRODUCTS:
            depth = sizes[node.input[0]][-1]
        whole = node.op_type == "MatMulInteger" or in_bytes.issuperset(node.input[:2])
        found.append(Work(node.op_type, whole, 2 * written * depth, written))
    return found


def operations(data: bytes) -> tuple[int, int]:
    """Multiplications and additions of a call's products, and numbers that all other nodes write."""
    every = work(data)
    return sum(one.products for one in every), sum(one.written for one in every if not one.products)
