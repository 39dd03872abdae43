"""How long calls of model files take, side by side on this machine."""

import platform
import time
from collections.abc import Mapping
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


def interleaved(
    files: Mapping[str, bytes], x: npt.NDArray[np.float32], calls: int = CALLS, runs: int = 1
) -> dict[str, float]:
    """10th percentile of a call on windows x (batch, W, 3), ms, one thread. All files take turns, so that whatever else
    the machine does falls on all of them; of `runs` calls of a file after each other the first is left out."""
    sessions = {name: open_session(data) for name, data in files.items()}
    spent: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(calls // runs):
        for name, session in sessions.items():
            for turn in range(runs):
                start = time.perf_counter()
                session.run(None, {"accel": x})
                if turn or runs == 1:
                    spent[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.percentile(values, 10)) for name, values in spent.items()}
