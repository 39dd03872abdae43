"""A recording of a file as a stream of its own: the same pipeline, fed with times that the file holds."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mmvq_bridge.recordings import Recording, RecordingFile
from mmvq_bridge.stream.records import Opening, printable
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.stream.timed import Missing, Wearer
from mmvq_run import events
from mmvq_run.events import Event
from mmvq_run.model import Predictor
from mmvq_run.pipeline import Options, Pipeline, answered
from mmvq_run.session import See
from mmvq_run.signal import gap_limit_s

PACED_BLOCK_S: Final = 1.0  # seconds of samples at a time: what --speed paces by
FAST_BLOCK_S: Final = 60.0  # as fast as possible: fewer and larger blocks cost less, and give the same events


def recording_events(
    recording: Recording,
    file: RecordingFile,
    model: Predictor,
    options: Options,
    stop: Stop,
    block_s: float,
    see: See | None = None,
) -> Iterator[tuple[float, list[Event]]]:
    """(stream time in seconds, the events up to it), by blocks of `block_s` seconds, until the end or a wish to stop.

    The last block holds the last windows and the `end` event. Of several recordings, events say which one it is.
    """
    pipeline = Pipeline(model.metadata, options)
    t = recording.t - recording.t[0]
    xyz = recording.xyz.astype(np.float64)
    rate = file.rate_hz
    several = len(file.recordings) > 1

    def named(told: list[Event]) -> list[Event]:
        return [event | {"recording": recording.id} for event in told] if several else told

    wearer = Wearer("connected", None, rate)
    first = [events.session(Opening(printable(file.path), None), model.metadata.name)]
    first += answered(pipeline.begin_segment(wearer), model.predict)
    first.append(events.device(0.0, "connected", wearer))
    yield 0.0, named(first)
    steps = np.diff(t)
    cuts = np.flatnonzero(steps > gap_limit_s(rate))
    blocks = np.maximum(np.ceil(t / block_s), 1)  # that samples are in; there may be years between two
    ends = np.flatnonzero(np.diff(blocks)) + 1
    start, reached = 0, 0.0
    for end in [*(int(end) for end in ends), len(t)]:
        if end <= start or stop.asked:
            continue
        for cut in cuts[(cuts + 1 >= start) & (cuts + 1 < end)]:
            lost = max(1, round(float(steps[cut]) * rate) - 1)
            pipeline.hold(events.gap(Missing(float(t[cut + 1]), lost, lost / rate, "sequence")))
        reached = float(t[end - 1])
        if see is not None:
            see(t[start:end], xyz[start:end])
        yield reached, named(answered(pipeline.push(t[start:end], xyz[start:end]), model.predict))
        start = end
    last = answered(pipeline.close(), model.predict)
    last.append(events.end(reached + 1 / rate, pipeline.windows, pipeline.lost, 0))
    yield reached, named(last)
