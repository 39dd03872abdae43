"""Static int8 by ONNX Runtime's quantiser, for the networks after the codes only.

The path to the codes (pieces, map, distances, arg-max) stays in float: there a rounding changes *which* code, and the
reason with it, long before it changes the label (EDGE 1). Which nodes come after the codes is read off the graph:
those that an ArgMax feeds.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

Target = Literal["x86", "arm64"]
KINDS: Final = ("MatMul", "Gemm", "Gather")
# VNNI kernels take unsigned activations; those of arm64 want both signed.
ACTIVATIONS: Final[dict[Target, QuantType]] = {"x86": QuantType.QUInt8, "arm64": QuantType.QInt8}


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


def quantize(model: onnx.ModelProto, windows: npt.NDArray[np.float32], target: Target) -> onnx.ModelProto:
    """The int8 model, its ranges taken from windows of training people."""
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
            # Without VNNI, x86 adds products of 8 bits by pairs in 16 bits, and clips: contributions were off by five
            # times as much on such a core. Weights of 7 bits fit, and the file then says the same on every x86.
            reduce_range=target == "x86",
            op_types_to_quantize=list(KINDS),
            nodes_to_quantize=after_codes(model),
            # A product's result goes on in float: rounding it too would only add error (an Add follows, which is not
            # quantised), and contributions are published as they are.
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        )
        return onnx.load(str(result))


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
    """Names of the nodes of KINDS with constant weights that an ArgMax feeds, directly or through others."""
    constant = {tensor.name for tensor in model.graph.initializer}
    fed: set[str] = set()
    names = []
    for node in model.graph.node:  # ONNX keeps nodes in topological order
        if node.op_type == "ArgMax" or fed & set(node.input):
            fed |= set(node.output)
            if node.op_type in KINDS and constant & set(node.input):
                names.append(node.name)
    return names
