"""A source played: its events, one at a time, as they come. The command mmvq-run is a thin shell around this.

    from mmvq_run import stream

    for event in stream("/dev/ttyUSB0", "student.onnx"):
        if event["type"] == "activity":
            print(event["label"], event["phase"])

Events are the objects of DESIGN 3.6. The last windows and the `end` event come in any case: at the end of a file, on a
wish to stop, and when a port stayed away.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import RecordingFile
from mmvq_bridge.stream.reconnect import PortLost
from mmvq_bridge.stream.records import Record, Tick
from mmvq_bridge.stream.stop import Stop
from mmvq_run.events import Event
from mmvq_run.model import Model, Predictor, find_model
from mmvq_run.pipeline import Options, answered
from mmvq_run.recording_stream import FAST_BLOCK_S, PACED_BLOCK_S, recording_events
from mmvq_run.session import See, Session
from mmvq_run.sources import BAUD, RECONNECT_S, Source, open_source

Say = Callable[[str], None]


def stream(
    source: str | Source,
    model: str | Path | Predictor | None = None,
    options: Options | None = None,
    *,
    baud: int = BAUD,
    reconnect_s: float = RECONNECT_S,
    speed: float | None = None,
    stop: Stop | None = None,
    say: Say | None = None,
    see: See | None = None,
) -> Iterator[Event]:
    """Events of a port, a URL or a file (`source`: its name, as `mmvq-run` takes it; or opened already).

    model: a file, a loaded one, or None for the one that mmvq-run would take. speed: of what was recorded, 1 is true
    speed, None as fast as possible. stop: ask for the end with `stop.asked = True`. say: gets lines for a person (by
    default they are logged). see: gets the samples as they are understood, seconds (n,) and g (n, 3).

    Raises BadInput for what cannot be read, and PortLost, after the last event, if a port stayed away.
    """
    stop, options, say = stop or Stop(), options or Options(), say or _log
    if model is None or isinstance(model, str | Path):
        model = Model(find_model(None if model is None else str(model)))
    if isinstance(source, str):
        source = open_source(source, options.units, stop, say, baud=baud, reconnect_s=reconnect_s, speed=speed)
    if isinstance(source, RecordingFile):
        yield from _of_recordings(source, model, options, stop, say, speed, see)
    else:
        yield from _of_records(source, model, options, stop, say, see)


def _of_records(
    items: Iterator[Record | Tick], model: Predictor, options: Options, stop: Stop, say: Say, see: See | None
) -> Iterator[Event]:
    session = Session(model.metadata, options, see)
    lost: PortLost | None = None
    try:
        for item in items:
            if isinstance(item, Tick):
                yield from session.advance(item.host_ns)
            else:
                yield from answered(session.feed(item), model.predict)
            _say_all(session, say)
    except PortLost as error:
        lost = error
    yield from answered(session.finish(), model.predict)
    _say_all(session, say)
    if lost is not None:
        raise lost
    if session.samples == 0 and not stop.asked:
        raise BadInput("nothing in the input became a sample; it takes protocol frames with HELLO, or CSV lines")


def _of_recordings(
    file: RecordingFile,
    model: Predictor,
    options: Options,
    stop: Stop,
    say: Say,
    speed: float | None,
    see: See | None,
) -> Iterator[Event]:
    """Each recording as a stream of its own."""
    for notice in file.notices:
        say(notice)
    block_s = FAST_BLOCK_S if speed is None else PACED_BLOCK_S
    for recording in file.recordings:
        start = time.monotonic()
        for t, told in recording_events(recording, file, model, options, stop, block_s, see):
            if speed is not None:
                stop.sleep(t / speed - (time.monotonic() - start))
            yield from told
        if stop.asked:
            return


def _log(line: str) -> None:
    import logging  # the command, which says things itself, has no need of it

    logging.getLogger("mmvq_run").warning(line)


def _say_all(session: Session, say: Say) -> None:
    for notice in session.notices:
        say(notice)
    session.notices.clear()
