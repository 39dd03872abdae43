"""What files weigh and how long a call takes: forms of the student, black boxes, the packaged model in turn.

    python benchmarks/latency.py        # writes results/latency.json; wants an idle machine, a few minutes

Forms of search.py and nets have random weights, which change neither; WISDM's windows and labels. One thread; calls of
all files in turn, so that whatever else the machine does falls on all of them, and none finds its weights in the cache,
as at the edge, where a window comes every few seconds; and calls of one file after each other.
"""

import time
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from additive import DATA
from blackbox import NETS, Floats, Net, int8, session
from common import write_result
from search import FORMS, PARTS, form

from mmvq_bridge.command import say
from mmvq_export.export import graph_of
from mmvq_train.config import Config
from mmvq_train.student.model import make_student

SET: Final = "wisdm_watch"
CLASSES: Final = 18
ACTIONS: Final = 45
CODE_BYTES: Final = 330  # of a code in the metadata: its shape, how often it is used, its sub-actions
CALLS: Final = 1000
RUNS: Final = 50
YARDSTICK: Final = "WRN16-1"
PACKAGED: Final = Path(__file__).parent.parent / "runtime" / "mmvq_run" / "packaged" / "student.onnx"


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = DATA[SET]
    windows = (torch.randn(256, config.window, 3) * 0.3 + torch.tensor([0.0, 0.0, 1.0])).numpy()
    files, codes = {name: int8(Net(name, CLASSES).eval(), windows) for name in NETS}, {}
    files["packaged"] = PACKAGED.read_bytes()
    known = set()
    for name, parts in FORMS.items():
        some = [PARTS[part] for part in parts]
        shaped = form(some, SET, config)
        graph = shaped.layout, shaped.codebook.size, shaped.student.width, shaped.student.embedding
        if all(part.quantised for part in some) and graph not in known:  # how a form learns does not change it
            known.add(graph)
            files[name], codes[name] = untrained(shaped, windows), shaped.codebook.size * len(shaped.layout.lengths_s)
            say(f"{name}: {len(files[name])} bytes")
    spent, alone = (timed(files, windows[:1], runs) for runs in (1, RUNS))
    write_result("latency", 0, {
        "unit": "ms a call, one thread, 10th percentile", "calls": CALLS, "bytes_a_code": CODE_BYTES,
        "files": {name: {
            "bytes": len(data), "nodes": len(onnx.load_from_string(data).graph.node),
            "bytes_with_codes": len(data) + CODE_BYTES * codes.get(name, 0),
            "ms": spent[name], f"times_{YARDSTICK}": spent[name] / spent[YARDSTICK],
            "ms_alone": alone[name], f"times_{YARDSTICK}_alone": alone[name] / alone[YARDSTICK],
        } for name, data in files.items()},
        "packaged_bytes": shares(files["packaged"]),
    })


def shares(data: bytes) -> dict[str, int]:
    """What takes how many bytes of a student's file."""
    model = onnx.load_from_string(data)
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found = {"metadata": sum(len(one.value) for one in model.metadata_props)}
    for tensor in model.graph.initializer:
        reader = users[tensor.name][0]
        while reader.op_type in ("DequantizeLinear", "Cast") and reader.input[0] == tensor.name:
            reader = users[reader.output[0]][0]
        place = list(reader.input).index(tensor.name) if tensor.name in reader.input else 1
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
            kind = "tables of codes" if reader.op_type == "Gather" else "networks, 8 bits"
        elif reader.op_type in ("Conv", "MatMul") and tensor.data_type == onnx.TensorProto.FLOAT16:
            kind = "filters that cut pieces"
        elif reader.op_type in ("MatMul", "Sub") and place == 1 and len(tensor.dims) >= 2:
            kind = "codes, and the maps to them"
        else:
            kind = "scales, biases, indices"
        found[kind] = found.get(kind, 0) + tensor.ByteSize()
    return found | {"graph": len(data) - sum(found.values())}


def untrained(config: Config, windows: Floats) -> bytes:
    """A student of that form, with random weights and codes."""
    student = make_student(config, CLASSES, ACTIONS).eval()
    student.codes.normal_()
    return graph_of(student, windows, "int8", "x86", 1).SerializeToString()


def timed(files: dict[str, bytes], window: Floats, runs: int) -> dict[str, float]:
    """10th percentile of a call, in ms; of each turn of several calls of one file the first is left out."""
    sessions = {name: session(data) for name, data in files.items()}
    spent: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(CALLS // runs):
        for name, one in sessions.items():
            for turn in range(runs):
                start = time.perf_counter()
                one.run(None, {"accel": window})
                if turn or runs == 1:
                    spent[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.percentile(values, 10)) for name, values in spent.items()}


if __name__ == "__main__":
    main()
