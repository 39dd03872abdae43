"""What judges weigh and how long a call takes: variants of the student, peers, forms of the search.

    python benchmarks/latency.py        # writes results/latency.json; wants an idle machine, about ten minutes

One thread. Calls of all judges in turn, so that whatever else the machine does falls on all of them, and none finds its
weights in the cache; calls of one after each other; and four calls a second, as live, in a process each, whose memory
and share of a core are measured (cadence.py). Variants, forms and nets have random weights, which change nothing; the
data are the embedded recordings. Then what the packaged file's call is bound by: for every node the larger of its
arithmetic at the measured peak of this core and the measured cost of having a node at all.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from additive import DATA
from blackbox import NETS, Floats, Net, int8, plain
from cadence import MAKERS
from common import write_result
from deployed import CHOSEN
from onnx import TensorProto, helper, numpy_helper
from search import FORMS, PARTS, form

from mmvq_bridge.command import say
from mmvq_export.anatomy import bytes_by_part, work
from mmvq_export.export import graph_of
from mmvq_export.gates import open_session
from mmvq_export.speed import called, interleaved
from mmvq_run.model import PACKAGED
from mmvq_train.config import Config
from mmvq_train.data import load_dataset
from mmvq_train.student.model import make_student

SET: Final = "wisdm_watch"
CLASSES: Final = 18
ACTIONS: Final = 45
CODE_BYTES: Final = 330  # of a code in the metadata: its shape, how often it is used, its sub-actions
CALLS: Final = 1000
RUNS: Final = 50
DEAR_CALLS: Final = 100  # of the peers that take a hundred times as long
YARDSTICK: Final = "WRN16-1"
PEERS: Final = ("forest", "MiniRocket", "VQShape")
SIDE: Final = 768  # of the matrices whose product measures the peak
CHAIN: Final = 200  # nodes that do next to nothing


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = DATA[SET]
    windows = (torch.randn(256, config.window, 3) * 0.3 + torch.tensor([0.0, 0.0, 1.0])).numpy()
    nets = {name: Net(name, CLASSES).eval() for name in NETS}
    files = {name: int8(net, windows) for name, net in nets.items()}
    files[f"{YARDSTICK}, float"] = plain(nets[YARDSTICK], windows)
    files["packaged"] = PACKAGED.read_bytes()
    files |= variants(config, windows)
    forms, codes = searched(config, windows)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "windows.npz"
        seen = load_dataset(Config()).train
        np.savez(data, x=seen.x.numpy(), y=seen.y.numpy(), rate_hz=Config().rate_hz)
        calls = {name: called(file, windows) for name, file in (files | forms).items()}
        turns = interleaved(calls, CALLS)
        alone = interleaved(calls, CALLS, RUNS)
        peers = {name: MAKERS[name](str(data))[0] for name in PEERS}
        dear = interleaved(peers | {"packaged": calls["packaged"]}, DEAR_CALLS)
        live = {name: streaming("student" if name == "packaged" else "net", file) for name, file in files.items()}
        live |= {name: asked([name, str(data)]) for name in PEERS}
    write_result("latency", 0, {
        "unit": "ms a call, one thread, 10th percentile", "calls": CALLS, "bytes_a_code": CODE_BYTES,
        "files": {name: {
            "bytes": len(file), "nodes": len(onnx.load_from_string(file).graph.node),
            "bytes_with_codes": len(file) + CODE_BYTES * codes.get(name, 0),
            "ms": turns[name], f"times_{YARDSTICK}": turns[name] / turns[YARDSTICK],
            "ms_alone": alone[name], f"times_{YARDSTICK}_alone": alone[name] / alone[YARDSTICK],
        } for name, file in (files | forms).items()},
        "peers": {name: {"ms": ms, "times_packaged": ms / dear["packaged"]} for name, ms in dear.items()},
        "live": live, "packaged_bytes": bytes_by_part(files["packaged"]),
        "bound": bound(files["packaged"], windows, alone["packaged"]),
    })


def variants(config: Config, windows: Floats) -> dict[str, bytes]:
    """The deployed form as every kind of file."""
    parts = [PARTS[part] for part in FORMS[CHOSEN[SET]]]
    shaped = form(parts, SET, config)
    student = make_student(shaped, CLASSES, ACTIONS).eval()
    student.codes.normal_()
    made = {
        "int8, x86": graph_of(student, windows, "int8", "x86", 1),
        "int8, dynamic batch": graph_of(student, windows, "int8", "x86", "dynamic"),
        "int8, arm64's kernels": graph_of(student, windows, "int8", "arm64", 1),
        "float": graph_of(student, windows, "none", "x86", 1),
    }
    return {f"student, {kind}": model.SerializeToString() for kind, model in made.items()}


def searched(config: Config, windows: Floats) -> tuple[dict[str, bytes], dict[str, int]]:
    """Forms of the search, and how many codes each has."""
    files, codes, known = {}, {}, set()
    for name, parts in FORMS.items():
        some = [PARTS[part] for part in parts]
        shaped = form(some, SET, config)
        graph = shaped.layout, shaped.codebook.size, shaped.student.width, shaped.student.embedding
        if all(part.quantised for part in some) and graph not in known:  # how a form learns does not change it
            known.add(graph)
            student = make_student(shaped, CLASSES, ACTIONS).eval()
            student.codes.normal_()
            files[name] = graph_of(student, windows, "int8", "x86", 1).SerializeToString()
            codes[name] = shaped.codebook.size * len(shaped.layout.lengths_s)
            say(f"{name}: {len(files[name])} bytes")
    return files, codes


def streaming(kind: str, file: bytes) -> dict[str, Any]:
    """Four calls a second of a model file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(file)
        return asked([kind, str(path)])


def asked(words: list[str]) -> dict[str, Any]:
    """What cadence.py says, in a process of its own."""
    script = str(Path(__file__).parent / "cadence.py")
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    say(f"live, {' '.join(words)}: {found}")
    return found


def bound(file: bytes, windows: Floats, ms: float) -> dict[str, Any]:
    """Of a file whose calls take that long when its weights are in the cache; windows to call it with."""
    peak = {"float": peak_gops(np.float32), "bytes": peak_gops(np.uint8)}
    dispatch = dispatch_us()
    spent = profile(file, windows)
    products = [one for one in work(file) if one.products]
    arithmetic = [one.products / peak["bytes" if one.in_bytes else "float"] / 1000 for one in products]  # us
    nodes = sum(count for count, _ in spent.values())
    least = sum(max(us, dispatch) for us in arithmetic) + dispatch * (nodes - len(products))
    whole = sum(us for _, us in spent.values())
    return {
        "gops_float": peak["float"], "gops_bytes": peak["bytes"], "us_a_node": dispatch, "nodes_run": nodes,
        "us_of_arithmetic": sum(arithmetic), "us_bound": least, "us": 1000 * ms, "times_bound": 1000 * ms / least,
        "share_by_kind": {kind: {"nodes": count, "share": us / whole} for kind, (count, us) in sorted(
            spent.items(), key=lambda item: -item[1][1]
        )},
    }


def peak_gops(kind: type[np.generic]) -> float:
    """Multiplications and additions a second, in thousand millions, of the largest kernels: a product of matrices."""
    integer = kind is np.uint8
    of = (TensorProto.UINT8, TensorProto.INT32) if integer else (TensorProto.FLOAT, TensorProto.FLOAT)
    ends = [helper.make_tensor_value_info(name, one, [SIDE, SIDE]) for name, one in zip("ac", of, strict=True)]
    weight = np.random.default_rng(0).integers(-64, 64, (SIDE, SIDE)).astype(np.int8 if integer else np.float32)
    node = helper.make_node("MatMulInteger" if integer else "MatMul", ["a", "b"], ["c"])
    session = open_session(_model([node], ends[:1], ends[1:], [numpy_helper.from_array(weight, "b")]))
    x = np.ones((SIDE, SIDE), kind)
    ms = interleaved({"product": lambda: session.run(None, {"a": x})}, 60)["product"]
    return float(2 * SIDE**3 / ms / 1e6)


def dispatch_us() -> float:
    """Of a node that does next to nothing, in a chain of these."""
    nodes = [helper.make_node("Neg" if i % 2 else "Abs", [f"n{i}"], [f"n{i + 1}"]) for i in range(2 * CHAIN)]

    def chain(count: int) -> onnxruntime.InferenceSession:
        ends = [helper.make_tensor_value_info(f"n{i}", TensorProto.FLOAT, [1]) for i in (0, count)]
        return open_session(_model(nodes[:count], ends[:1], ends[1:], []))

    short, long = chain(CHAIN), chain(2 * CHAIN)
    x = {"n0": np.ones(1, np.float32)}
    ms = interleaved({"short": lambda: short.run(None, x), "long": lambda: long.run(None, x)}, CALLS)
    return 1000 * (ms["long"] - ms["short"]) / CHAIN


def _model(nodes: Any, given: Any, said: Any, weights: Any) -> bytes:
    graph = helper.make_graph(nodes, "peak", given, said, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def profile(file: bytes, windows: Floats) -> dict[str, tuple[int, float]]:
    """By kind of node as ONNX Runtime runs them: how many, and their time in a call, us, with the profiler's own."""
    with _profiled() as (options, events):
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        for i in range(CALLS):
            session.run(None, {"accel": windows[i % len(windows)][None]})
        found: dict[str, tuple[set[str], float]] = {}
        for event in events(session):
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                names, us = found.get(event["args"]["op_name"], (set(), 0.0))
                found[event["args"]["op_name"]] = names | {event["name"]}, us + event["dur"] / CALLS
    return {kind: (len(names), us) for kind, (names, us) in found.items()}


@contextmanager
def _profiled() -> Iterator[tuple[onnxruntime.SessionOptions, Callable[[Any], list[dict[str, Any]]]]]:
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        yield options, lambda session: json.loads(Path(session.end_profiling()).read_text())


if __name__ == "__main__":
    main()
