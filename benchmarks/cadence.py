"""What a judge costs a process that asks it four times a second, as a live runtime does: a process each.

    python benchmarks/cadence.py JUDGE FILE     # run by latency.py; prints JSON

JUDGE student or net: FILE is a model; forest, MiniRocket or VQShape: FILE holds windows x (N, W, 3), labels y and the
rate in Hz, as arrays, on which it is made. Nothing is imported that the judge does not need, as memory is measured.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

PERIOD_S: Final = 0.25
CALLS: Final = 60
WARM: Final = 8
Call = Callable[[], object]


def main() -> None:
    call, size = MAKERS[sys.argv[1]](sys.argv[2])
    for _ in range(WARM):
        call()
    spent, start, busy = [], time.perf_counter(), time.process_time()
    for turn in range(CALLS):
        time.sleep(max(0.0, start + turn * PERIOD_S - time.perf_counter()))
        begin = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - begin))
    share = (time.process_time() - busy) / (CALLS * PERIOD_S)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(json.dumps({
        "ms_median": float(np.median(spent)), "ms_90th_percentile": float(np.percentile(spent, 90)),
        "share_of_a_core": share, "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6, "bytes": size,
    }))


def student(file: str) -> tuple[Call, int]:
    """By the runtime, with all that it checks."""
    from mmvq_run.model import Model

    model = Model(file)
    window = np.zeros((model.metadata.window, 3), np.float32)
    return lambda: model.predict(window), Path(file).stat().st_size


def net(file: str) -> tuple[Call, int]:
    """By ONNX Runtime, as the runtime has it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    window = np.zeros((1, *session.get_inputs()[0].shape[1:]), np.float32)  # the batch may be dynamic
    return lambda: session.run(None, {"accel": window}), Path(file).stat().st_size


def forest(file: str) -> tuple[Call, int]:
    """500 trees on handcrafted features."""
    from handcrafted import handcrafted
    from sklearn.ensemble import RandomForestClassifier

    x, y, rate = _windows(file)
    model = RandomForestClassifier(500, min_samples_leaf=2, class_weight="balanced_subsample", random_state=0)
    model.fit(handcrafted(x, rate), y)
    size = sum(tree.tree_.node_count * 24 + tree.tree_.value.nbytes // 2 for tree in model.estimators_)
    return lambda: model.predict_proba(handcrafted(x[:1], rate)), size


def minirocket(file: str) -> tuple[Call, int]:
    """Random convolutions and a ridge."""
    from aeon.transformations.collection.convolution_based import MiniRocket
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    x, y, _ = _windows(file)
    rows = np.ascontiguousarray(x.transpose(0, 2, 1))
    transform = MiniRocket(random_state=0, n_jobs=1).fit(rows)
    scaler = StandardScaler()
    ridge = RidgeClassifier().fit(scaler.fit_transform(transform.transform(rows)), y)
    size = 4 * (ridge.coef_.size + 3 * ridge.coef_.shape[1])  # weights; bias, mean and deviation of each feature
    return lambda: ridge.predict(scaler.transform(transform.transform(rows[:1]))), size


def vqshape(file: str) -> tuple[Call, int]:
    """Every channel by itself, d 128; tokens to a linear layer."""
    import torch
    from vqshape import NET

    from mmvq_train.vqshape.features import token_features
    from mmvq_train.vqshape.model import VQShape

    torch.set_num_threads(1)
    x, _, _ = _windows(file)
    model = VQShape(NET).eval()
    one = torch.from_numpy(x[:1].transpose(0, 2, 1).copy())
    return lambda: token_features(model, one), 4 * sum(p.numel() for p in model.parameters())


def _windows(file: str) -> tuple[Any, Any, float]:
    with np.load(file) as found:
        return found["x"], found["y"], float(found["rate_hz"])


MAKERS: Final[dict[str, Callable[[str], tuple[Call, int]]]] = {
    "student": student, "net": net, "forest": forest, "MiniRocket": minirocket, "VQShape": vqshape,
}

if __name__ == "__main__":
    main()
