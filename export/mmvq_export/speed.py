"""How long calls take, side by side on this machine."""

import itertools
import platform
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_export.gates import open_session
from mmvq_export.quantize import Target

HOSTS: Final[dict[str, Target]] = {"x86_64": "x86", "AMD64": "x86", "aarch64": "arm64", "arm64": "arm64"}
CALLS: Final = 500


def fits_host(target: Target) -> bool:
    """Whether this machine has the kernels that the target means."""
    return HOSTS.get(platform.machine()) == target


def called(data: bytes, x: npt.NDArray[np.float32], batch: int = 1) -> Callable[[], object]:
    """Calls of a model file, on `batch` windows at a time of x (N, W, 3), in turn: one window again and again is soon
    foreseen by the processor."""
    session = open_session(data)
    turns = itertools.cycle([x[i : i + batch] for i in range(0, len(x) - batch + 1, batch)])
    return lambda: session.run(None, {"accel": next(turns)})


def interleaved(calls: Mapping[str, Callable[[], object]], count: int = CALLS, runs: int = 1) -> dict[str, float]:
    """10th percentile of each of some calls, ms. All take turns, so that whatever else the machine does falls on all of
    them; of `runs` calls of one after each other the first is left out."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(count // runs):
        for name, call in calls.items():
            for turn in range(runs):
                start = time.perf_counter()
                call()
                if turn or runs == 1:
                    spent[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.percentile(values, 10)) for name, values in spent.items()}
