"""What files weigh and how long a call takes: forms of the student, black boxes, the packaged model in turn.

    python benchmarks/latency.py        # writes results/latency.json; wants an idle machine, a few minutes

Forms of search.py and nets have random weights, which change neither; WISDM's windows and labels. One thread; calls of
all files in turn, so that whatever else the machine does falls on all of them, and none finds its weights in the cache,
as at the edge, where a window comes every few seconds; and calls of one file after each other.
"""

from pathlib import Path
from typing import Final

import onnx
import torch
from additive import DATA
from blackbox import NETS, Floats, Net, int8
from common import write_result
from search import FORMS, PARTS, form

from mmvq_bridge.command import say
from mmvq_export.anatomy import bytes_by_part
from mmvq_export.export import graph_of
from mmvq_export.speed import interleaved
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
    spent, alone = (interleaved(files, windows[:1], CALLS, runs) for runs in (1, RUNS))
    write_result("latency", 0, {
        "unit": "ms a call, one thread, 10th percentile", "calls": CALLS, "bytes_a_code": CODE_BYTES,
        "files": {name: {
            "bytes": len(data), "nodes": len(onnx.load_from_string(data).graph.node),
            "bytes_with_codes": len(data) + CODE_BYTES * codes.get(name, 0),
            "ms": spent[name], f"times_{YARDSTICK}": spent[name] / spent[YARDSTICK],
            "ms_alone": alone[name], f"times_{YARDSTICK}_alone": alone[name] / alone[YARDSTICK],
        } for name, data in files.items()},
        "packaged_bytes": bytes_by_part(files["packaged"]),
    })


def untrained(config: Config, windows: Floats) -> bytes:
    """A student of that form, with random weights and codes."""
    student = make_student(config, CLASSES, ACTIONS).eval()
    student.codes.normal_()
    return graph_of(student, windows, "int8", "x86", 1).SerializeToString()


if __name__ == "__main__":
    main()
