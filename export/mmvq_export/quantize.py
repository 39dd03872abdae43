"""Static int8 by ONNX Runtime's quantiser, for the networks after the codes only.

The path to the codes (pieces, map, distances, arg-max) stays in float: there a rounding changes *which* code, and the
reason with it, long before it changes the label (EDGE 1). Which nodes come after the codes is read off the graph:
those that the ArgMax of the nearest codes feeds.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from mmvq_export.compact import drop_unread
from mmvq_export.gates import run_file

Target = Literal["x86", "arm64"]
CONTRIBUTION_BIAS: Final = "networks.last_bias"  # as the tracer calls it in Deployed
UNLIKENESS: Final = "student.unlikeness."  # and how names of its matrices begin
LAYING: Final = ("Concat", "Gather", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
KINDS: Final = ("Conv", "Relu", "MatMul", "Gemm", "Gather")
# VNNI kernels take unsigned activations; those of arm64 want both signed.
ACTIVATIONS: Final[dict[Target, QuantType]] = {"x86": QuantType.QUInt8, "arm64": QuantType.QInt8}
# A weight of a convolution, in steps. Without VNNI, x86 adds products of 8 bits by pairs in 16 bits, and clips:
# contributions were off by five times as much on such a core. Weights of 7 bits fit, and the file then says the same on
# every x86.
LARGEST: Final[dict[Target, int]] = {"x86": 64, "arm64": 127}


class _Windows(CalibrationDataReader):
    """Windows (N, window, 3), in batches of the model's own size."""

    def __init__(self, windows: npt.NDArray[np.float32], batch: int) -> None:
        self.rest: Iterator[npt.NDArray[np.float32]] = iter(
            [windows[i : i + batch] for i in range(0, len(windows) - batch + 1, batch)]
        )

    def get_next(self) -> Any:
        """The next batch, or None."""
        part = next(self.rest, None)
        return None if part is None else {"accel": part}


def quantize(
    model: onnx.ModelProto, windows: npt.NDArray[np.float32], target: Target, ranges: Sequence[tuple[float, float]]
) -> onnx.ModelProto:
    """The int8 model. ranges: of what each layer of the networks reads, first to last; of all other values they are
    taken from windows of training people."""
    shape = model.graph.input[0].type.tensor_type.shape.dim[0]
    # Its advice to pre-process first does not apply: what it would fold is folded, and it logs to the root.
    with tempfile.TemporaryDirectory() as folder, quiet_root():
        source, result = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(source))
        quantize_static(
            str(source),
            str(result),
            _Windows(windows, shape.dim_value or 1),
            quant_format=QuantFormat.QDQ,
            activation_type=ACTIVATIONS[target],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=LARGEST[target] < 127,
            op_types_to_quantize=list(KINDS),
            nodes_to_quantize=after_codes(model),
            # A product's result goes on in float: rounding it too would only add error (an Add follows, which is not
            # quantised), and contributions are published as they are.
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
                "TensorQuantOverrides": {
                    name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
                    for names, (low, high) in zip(_read_by_layers(model), ranges, strict=True) for name in names
                },
            },
        )
        quantized = onnx.load(str(result))
    _kept_in_bytes(quantized, model)
    _laid_in_bytes(quantized, model)
    return quantized


def _read_by_layers(model: onnx.ModelProto) -> list[list[str]]:
    """Names of what each layer of the networks reads: both convolutions, and the products of what comes then."""
    after = set(after_codes(model))
    nodes = [node for node in model.graph.node if node.name in after]
    first, second = (node for node in nodes if node.op_type == "Conv")
    last = [node.input[0] for node in nodes if node.op_type == "MatMul"]
    [hidden] = [node.output[0] for node in nodes if node.op_type == "Relu" and node.input[0] == second.output[0]]
    return [[first.input[0]], [second.input[0]], list({hidden, *last})]


def settle(
    quantized: onnx.ModelProto, meant: npt.NDArray[np.float32], windows: npt.NDArray[np.float32], counts: list[int],
    step: int,
) -> None:
    """In place: take the mean of what rounding adds to contributions, over windows and the tokens of each length, off
    the bias that is added to them in float (bias correction, Nagel et al. 2019, arXiv 1906.04721).

    meant: contributions (N, T, C) in float; counts: tokens of each length; step: the model's batch.
    """
    rounded = run_file(quantized.SerializeToString(), windows, step)["contributions"]
    apart = np.split((rounded - meant).mean(0, dtype=np.float64), np.cumsum(counts)[:-1])
    [bias] = [tensor for tensor in quantized.graph.initializer if tensor.name == CONTRIBUTION_BIAS]
    settled = numpy_helper.to_array(bias) - np.repeat([own.mean(0) for own in apart], counts, axis=0)
    bias.CopyFrom(numpy_helper.from_array(settled.astype(np.float32), CONTRIBUTION_BIAS))


def _kept_in_bytes(quantized: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """In place: matrices a group (G, n, m) and those of the unknown score (n, m) are kept in 8 bits, with a step for
    every column of each, and multiplied in float: ONNX Runtime makes floats of them when it loads a file.

    Its quantiser would have one step for a column of all groups, and a product of bytes is not worth the three nodes
    around it here.
    """
    graph = quantized.graph
    source = {node.output[0]: node for node in graph.node}
    rounded = {tensor.name for tensor in graph.initializer}
    trained = {
        one.name: numpy_helper.to_array(one) for one in model.graph.initializer
        if one.name.startswith(UNLIKENESS) or (len(one.dims) == 3 and f"{one.name}_quantized" in rounded)
    }
    nodes = []
    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        if name in source:
            name = source[name].input[0].removesuffix("_quantized")
        if name in trained:
            step = (np.abs(trained[name]).max(axis=-2, keepdims=True).clip(1e-12) / 127).astype(np.float32)
            whole = np.round(trained[name] / step).astype(np.int8)
            tensors = {f"{name}_whole": whole, f"{name}_step": step}
            graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in tensors.items())
            nodes.append(onnx.helper.make_node("Cast", [f"{name}_whole"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT))
            nodes.append(onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_step"], [f"{name}_float"]))
            node.input[1] = f"{name}_float"
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph)


def _laid_in_bytes(quantized: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """In place: what is looked up, put side by side and turned stays in bytes, of the range of the layer that reads it.

    The quantiser has a range of its own for the looked-up table, which rounds a code's features twice, and goes back
    to float wherever a shape changes. model: the same in float, whose constants are rounded anew.
    """
    graph = quantized.graph
    source = {node.output[0]: node for node in graph.node}
    readers = Counter(name for node in graph.node for name in node.input)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    trained = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made: dict[str, onnx.NodeProto] = {}  # behind which output a node comes

    def laid(node: onnx.NodeProto) -> list[int] | None:
        """Places of the inputs that a node only lays anew; none if others read what it makes, too."""
        if node.op_type not in LAYING or readers[node.output[0]] > 1:
            return None
        return list(range(len(node.input))) if node.op_type == "Concat" else [0]

    def bytewise(name: str) -> bool:
        """Whether some of it was in bytes before."""
        node = source.get(name)
        if node is None or node.op_type == "DequantizeLinear":
            return node is not None
        return any(bytewise(node.input[i]) for i in laid(node) or [])

    def lifted(name: str, step: str, zero: str) -> str:
        """The tensor's bytes."""
        node = source[name]
        if node.op_type == "DequantizeLinear":
            constant = name.removesuffix("_DequantizeLinear_Output")
            if constant in trained:
                low, high = np.iinfo(constants[zero].dtype).min, np.iinfo(constants[zero].dtype).max
                whole = np.round(trained[constant] / constants[step]) + constants[zero].astype(np.float32)
                value = numpy_helper.from_array(whole.clip(low, high).astype(constants[zero].dtype), f"{name}_bytes")
                graph.initializer.append(value)
                return value.name
            if all(constants[a] == constants[b] for a, b in zip(node.input[1:], (step, zero), strict=True)):
                return node.input[0]
            if node.input[0] in source and source[node.input[0]].op_type == "QuantizeLinear":
                return lifted(source[node.input[0]].input[0], step, zero)
        elif bytewise(name):
            for i in laid(node) or []:
                node.input[i] = lifted(node.input[i], step, zero)
            return name
        made[name] = onnx.helper.make_node("QuantizeLinear", [name, step, zero], [f"{name}_bytes"])
        return made[name].output[0]

    found = {
        node.output[0]: lifted(*node.input) for node in reversed(graph.node)
        if node.op_type == "QuantizeLinear" and bytewise(node.input[0])
    }
    rest = [node for node in graph.node if node.output[0] not in found]
    del graph.node[:], graph.value_info[:]  # which says that all of it is float
    for node in rest:
        for i, name in enumerate(node.input):
            node.input[i] = found.get(name, name)
        graph.node.append(node)
        if node.output[0] in made:
            graph.node.append(made[node.output[0]])
    drop_unread(graph)


@contextmanager
def quiet_root() -> Iterator[None]:
    """Let the root logger pass errors only."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def after_codes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of KINDS, but for Relu with constant weights, that the codes feed, directly or through
    others, up to the sums over tokens."""
    weights = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    fed: set[str] = set()
    names = []

    def sums(node: onnx.NodeProto) -> bool:
        return node.op_type == "ReduceSum" or (node.op_type == "MatMul" and node.input[0] in weights)

    for node in model.graph.node:  # ONNX keeps nodes in topological order
        if node.op_type == "ArgMax":
            fed.add(node.output[0])
        elif fed & set(node.input) and not sums(node):
            fed |= set(node.output)
            if node.op_type in KINDS and (node.op_type == "Relu" or weights & set(node.input)):
                names.append(node.name)
    return names
