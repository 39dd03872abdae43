"""The loop between sources and sinks: records or recordings in, events out, a capture and a score on the side."""

import time
from collections.abc import Callable, Iterator

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import RecordingFile
from mmvq_run.pipeline import Options
from mmvq_run.recording_stream import FAST_BLOCK_S, PACED_BLOCK_S, Source, recording_events
from mmvq_run.records import Kind, Record, Tick
from mmvq_run.score import Score, truth_by_start
from mmvq_run.session import Predictor, Session
from mmvq_run.sinks import Sink
from mmvq_run.sinks.capture import CaptureWriter
from mmvq_run.sources.serial_port import PortLost
from mmvq_run.stop import Stop

Say = Callable[[str], None]


def play_records(
    items: Iterator[Record | Tick],
    session: Session,
    sink: Sink,
    say: Say,
    stop: Stop,
    recorder: CaptureWriter | None,
) -> list[float]:
    """Play until the source ends or the user wishes so; the last windows and the `end` event come in any case.

    Returns the milliseconds from the arrival of bytes to their events, where there were any. Raises PortLost after
    the end if the port stayed away, BadInput if nothing in the stream could be turned into samples.
    """
    latencies: list[float] = []
    lost: PortLost | None = None
    try:
        for item in items:
            if isinstance(item, Tick):
                told = session.advance(item.host_ns)
            else:
                if recorder is not None:
                    recorder.write(item)
                told = session.feed(item)
            for event in told:
                sink.write(event)
            if told and isinstance(item, Record) and item.kind == Kind.BYTES:
                latencies.append((time.monotonic_ns() - item.host_ns) / 1e6)
            _say_all(session, say)
    except PortLost as error:
        lost = error
    for event in session.finish():
        sink.write(event)
    _say_all(session, say)
    if lost is not None:
        raise lost
    if session.samples == 0 and not stop.asked:
        raise BadInput("nothing in the input became a sample; it takes protocol frames with HELLO, or CSV lines")
    return latencies


def play_recordings(
    file: RecordingFile,
    model: Predictor,
    options: Options,
    sink: Sink,
    stop: Stop,
    speed: float | None,
    score: Score | None,
) -> None:
    """Play each recording as a stream of its own, `speed` times as fast as it was worn (None: as fast as possible)."""
    several = len(file.recordings) > 1
    source = Source(file.path, file.rate_hz, several)
    block_s = FAST_BLOCK_S if speed is None else PACED_BLOCK_S
    hop_s = options.hop_s or model.metadata.hop_s
    for recording in file.recordings:
        truth = truth_by_start(recording, file.labels, file.rate_hz, model.metadata, hop_s) if score else {}
        start = time.monotonic()
        for t, told in recording_events(recording, source, model, options, stop, block_s):
            if speed is not None:
                stop.sleep(t / speed - (time.monotonic() - start))
            for event in told:
                sink.write(event)
                if score and event["type"] == "window":
                    score.add(truth[event["start"]], event["label"])
        if stop.asked:
            return


def _say_all(session: Session, say: Say) -> None:
    for notice in session.notices:
        say(notice)
    session.notices.clear()
