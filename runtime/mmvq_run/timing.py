"""How long things took (`--timing`): on stderr only, never in events, which must not depend on the host."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from mmvq_bridge.stream.records import Kind, Record, Tick
from mmvq_run.model import Floats, Model, Prediction

LATEST: Final = 10_000  # times that are kept: of the last hours, in a fraction of a megabyte


class TimedModel:
    """A model that notes how long each window took it, in milliseconds."""

    def __init__(self, model: Model) -> None:
        self.metadata = model.metadata
        self.took_ms: deque[float] = deque(maxlen=LATEST)
        self._model = model

    def predict(self, xyz: Floats) -> Prediction:
        """The model's own prediction."""
        start = time.perf_counter_ns()
        prediction = self._model.predict(xyz)
        self.took_ms.append((time.perf_counter_ns() - start) / 1e6)
        return prediction

    def predict_many(self, windows: Sequence[Floats]) -> list[Prediction]:
        """The same for several; each counts as long as its share of the call."""
        start = time.perf_counter_ns()
        predictions = self._model.predict_many(windows)
        self.took_ms += [(time.perf_counter_ns() - start) / 1e6 / max(1, len(windows))] * len(windows)
        return predictions


class Arrivals:
    """How long after the arrival of bytes something was told of them, in milliseconds."""

    def __init__(self) -> None:
        self.took_ms: deque[float] = deque(maxlen=LATEST)
        self._at: int | None = None

    def of(self, source: Iterable[Record | Tick]) -> Iterator[Record | Tick]:
        """The same records, watched."""
        for item in source:
            self._at = item.host_ns if isinstance(item, Record) and item.kind == Kind.BYTES else None
            yield item

    def told(self) -> None:
        """An event came of the present record. The first one of a record counts."""
        if self._at is not None:
            self.took_ms.append((time.monotonic_ns() - self._at) / 1e6)
            self._at = None


def summary(name: str, milliseconds: Sequence[float] | deque[float]) -> str:
    """Median and tails of many durations, in words."""
    if not milliseconds:
        return f"{name}: nothing to time"
    p10, p50, p99 = np.percentile(milliseconds, [10, 50, 99])
    return f"{name}: median {p50:.3f} ms, p10 {p10:.3f}, p99 {p99:.3f}, {len(milliseconds)} times"
