"""Fewer bytes and nodes for the same numbers: bytes or halves where nothing is lost, equal rows once, 32 bit indices,
one change of shape in place of several, short names inside the graph."""

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

RESHAPING: Final = ("Reshape", "Squeeze", "Unsqueeze")
SMALLEST: Final = 256  # elements; below it a Cast node costs more than it saves


def compact(model: onnx.ModelProto) -> None:
    """In place. Inputs and outputs keep their names, and every output its bits."""
    _reshape_once(model)
    _rows_once(model.graph)
    _shrink(model.graph)
    _shorten_indices(model.graph)
    _leave_out_zeros(model.graph)
    _share(model.graph)
    drop_unread(model.graph)
    _rename(model.graph)


def _reshape_once(model: onnx.ModelProto) -> None:
    """Of changes of shape that follow each other only the last one stays, or none where it undoes the others."""
    graph = model.graph
    known = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        for value in (*known.input, *known.value_info, *known.output)
    }
    source = {node.output[0]: node for node in graph.node if node.op_type in RESHAPING}
    same: dict[str, str] = {}
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = same.get(name, name)
        before = source.get(node.input[0]) if node.op_type in RESHAPING else None
        if before is None or node.output[0] not in shapes:
            continue
        first, wanted = before.input[0], shapes[node.output[0]]
        known_same = shapes.get(first) == wanted and "" not in wanted  # a size without a name may be any
        if known_same and node.output[0] not in {value.name for value in graph.output}:
            same[node.output[0]] = first
        elif sum(isinstance(size, str) for size in wanted) <= 1:
            shape = f"{node.output[0]}_shape"
            sizes = [size if isinstance(size, int) else -1 for size in wanted]
            graph.initializer.append(numpy_helper.from_array(np.array(sizes, dtype=np.int64), shape))
            node.CopyFrom(onnx.helper.make_node("Reshape", [first, shape], list(node.output), name=node.name))


def _rows_once(graph: onnx.GraphProto) -> None:
    """Keep equal rows of float32 constants once, and look them up: ONNX Runtime does that when it loads a file."""
    found = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST or len(tensor.dims) < 2:
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        rows, place = np.unique(values.reshape(-1, values.shape[-1]), axis=0, return_inverse=True)
        if rows.nbytes + 4 * place.size > values.nbytes / 2:
            continue
        tensor.CopyFrom(numpy_helper.from_array(rows, f"{name}_rows"))
        graph.initializer.append(
            numpy_helper.from_array(place.astype(np.int32).reshape(values.shape[:-1]), f"{name}_place")
        )
        found.append(onnx.helper.make_node("Gather", [tensor.name, f"{name}_place"], [name], name=f"rows_{name}"))
    _first(graph, found)


def _first(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes before all others."""
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _shrink(graph: onnx.GraphProto) -> None:
    """Store float32 constants in bytes or in half precision where that is exact, and cast them back in the graph."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        values = numpy_helper.to_array(tensor)
        bytes_or_half = (values.clip(-128, 127).astype(np.int8), values.astype(np.float16))
        small = next((one for one in bytes_or_half if np.array_equal(one.astype(np.float32), values)), None)
        if small is None:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(small, f"{name}_small"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], name=f"cast_{name}", to=TensorProto.FLOAT))
    _first(graph, casts)


def _shorten_indices(graph: onnx.GraphProto) -> None:
    """Gather takes 32 bit indices as well as 64 bit ones."""
    users: dict[str, set[tuple[str, int]]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            users.setdefault(name, set()).add((node.op_type, place))
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.INT64 and users.get(tensor.name) == {("Gather", 1)}:
            values = numpy_helper.to_array(tensor).astype(np.int32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _leave_out_zeros(graph: onnx.GraphProto) -> None:
    """A zero point that is not there is zero; there is one for every channel of the weights, and of the biases."""
    zeros = {tensor.name for tensor in graph.initializer if not numpy_helper.to_array(tensor).any()}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]


def _share(graph: onnx.GraphProto) -> None:
    """One copy of constants that are equal: pieces of several views are cut alike, zero points are all zero."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in graph.initializer:
        bare = TensorProto()
        bare.CopyFrom(tensor)
        bare.name = ""
        same[tensor.name] = first.setdefault(bare.SerializeToString(deterministic=True), tensor.name)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = same.get(name, name)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Drop nodes whose results nobody reads, and constants that no node reads."""
    read = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # ONNX keeps nodes in topological order
        if read & set(node.output):
            read |= set(node.input)
            nodes.append(node)
    constants = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(constants)


def _rename(graph: onnx.GraphProto) -> None:
    """Values and nodes become numbers, in order of the graph: the tracer's names are long, and vary."""
    keep = {value.name for value in (*graph.input, *graph.output)} | {""}
    names: dict[str, str] = {}

    def short(name: str) -> str:
        return name if name in keep else names.setdefault(name, f"v{len(names)}")

    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        for values in (node.input, node.output):
            renamed = [short(name) for name in values]
            del values[:]
            values.extend(renamed)
