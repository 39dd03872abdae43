"""How long things took (`--timing`): on stderr only, never in events, which must not depend on the host."""

import time

import numpy as np

from mmvq_run.model import Floats, Model, Prediction


class TimedModel:
    """A model that notes how long each window took it, in milliseconds."""

    def __init__(self, model: Model) -> None:
        self.metadata = model.metadata
        self.took_ms: list[float] = []
        self._model = model

    def predict(self, xyz: Floats) -> Prediction:
        """The model's own prediction."""
        start = time.perf_counter_ns()
        prediction = self._model.predict(xyz)
        self.took_ms.append((time.perf_counter_ns() - start) / 1e6)
        return prediction


def summary(name: str, milliseconds: list[float]) -> str:
    """Median and tails of many durations, in words."""
    if not milliseconds:
        return f"{name}: nothing to time"
    p10, p50, p99 = np.percentile(milliseconds, [10, 50, 99])
    return f"{name}: median {p50:.3f} ms, p10 {p10:.3f}, p99 {p99:.3f}, {len(milliseconds)} times"
