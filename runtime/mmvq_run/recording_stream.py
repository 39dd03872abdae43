"""A recording of a file as a stream of its own: the same pipeline, fed with times that the file holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from mmvq_bridge.recordings import Recording
from mmvq_run import events
from mmvq_run.events import Event
from mmvq_run.pipeline import Options, Pipeline
from mmvq_run.records import Opening, printable
from mmvq_run.session import Predictor
from mmvq_run.signal import gap_limit_s
from mmvq_run.stop import Stop
from mmvq_run.timed import Missing, Wearer

PACED_BLOCK_S: Final = 1.0  # seconds of samples at a time: what --speed paces by
FAST_BLOCK_S: Final = 60.0  # as fast as possible: fewer and larger blocks cost less, and give the same events


@dataclass(frozen=True)
class Source:
    """Where recordings come from. rate_hz: their nominal rate; several: whether events must say which one it is."""

    path: str
    rate_hz: float
    several: bool


def recording_events(
    recording: Recording, source: Source, model: Predictor, options: Options, stop: Stop, block_s: float
) -> Iterator[tuple[float, list[Event]]]:
    """(stream time in seconds, the events up to it), by blocks of `block_s` seconds, until the end or a wish to stop.

    The last block holds the last windows and the `end` event.
    """
    pipeline = Pipeline(model.metadata, model.predict, options)
    t = recording.t - recording.t[0]
    xyz = recording.xyz.astype(np.float64)
    rate = source.rate_hz
    first = [events.session(Opening(printable(source.path), None), model.metadata.name)]
    first += pipeline.begin_segment(rate)
    first.append(events.device(0.0, "connected", Wearer("connected", None, rate)))
    yield 0.0, _named(first, recording, source)
    steps = np.diff(t)
    cuts = np.flatnonzero(steps > gap_limit_s(rate))
    ends = np.searchsorted(t, np.arange(block_s, t[-1] + block_s, block_s), side="right")
    start, reached = 0, 0.0
    for end in [*(int(end) for end in ends), len(t)]:
        if end <= start or stop.asked:
            continue
        for cut in cuts[(cuts + 1 >= start) & (cuts + 1 < end)]:
            lost = max(1, round(float(steps[cut]) * rate) - 1)
            pipeline.hold(events.gap(Missing(float(t[cut + 1]), lost, lost / rate, "sequence")))
        reached = float(t[end - 1])
        yield reached, _named(pipeline.push(t[start:end], xyz[start:end]), recording, source)
        start = end
    last = pipeline.flush() + pipeline.end_activity()
    last.append(events.end(reached + 1 / rate, pipeline.windows, pipeline.lost, 0))
    yield reached, _named(last, recording, source)


def _named(told: list[Event], recording: Recording, source: Source) -> list[Event]:
    return [event | {"recording": recording.id} for event in told] if source.several else told
