"""The command mmvq-run: samples from a wearable, a pipe or a file in, activities with their reasons out.

What only some runs need is imported by them: a megabyte here and there is much on the edge.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Final

from mmvq_bridge import __version__
from mmvq_bridge.command import BadInput, Parser, above_zero, run_command, seconds
from mmvq_bridge.recordings import RecordingFile, counts_per_g
from mmvq_bridge.stream.records import Record, Tick
from mmvq_bridge.stream.stop import Stop
from mmvq_run.explain import SHOWN
from mmvq_run.judge import read_rules
from mmvq_run.metadata import Metadata
from mmvq_run.model import Model, find_model
from mmvq_run.pipeline import Options
from mmvq_run.score import Score
from mmvq_run.sinks import Sink, Watcher, choose
from mmvq_run.sinks.capture import capture_of, capture_to, recorded
from mmvq_run.sources import BAUD, RECONNECT_S, Source, open_port, open_source
from mmvq_run.streaming import stream
from mmvq_run.timing import Arrivals, TimedModel, summary

PROG: Final = "mmvq-run"
DEMO: Final = Path(__file__).parent / "packaged" / "demo.mmvqcap"
INTERRUPTED: Final = 130

EXAMPLES = """\
examples:
  mmvq-run --demo
  mmvq-run --port /dev/ttyUSB0 --record morning.mmvqcap
  mmvq-run --port /dev/ttyUSB0 --port /dev/ttyUSB1
  mmvq-run --listen 7000 --token token.txt
  mmvq-run --input morning.mmvqcap --format jsonl --explain full
  mmvq-run --input wisdm.parquet --score > events.jsonl
  mmvq-run --port /dev/ttyUSB0 --model student.onnx --verify public.pem
  mmvq-run report day.jsonl       a page: timeline, time per activity, reasons, losses

exit status: 0 done, 1 failed while working (a port stayed away), 2 wrong usage or bad input, 130 on Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    return run_command(PROG, _work, argv)


def _work(argv: Sequence[str]) -> int:
    if argv[:1] == ["report"]:
        from mmvq_run.report.cli import work as report

        return report(argv[1:])
    arguments = _parser().parse_args(argv)
    _check(arguments)
    stop = Stop()
    with stop.on_signals():
        _run(arguments, stop)
        sys.stdout.flush()
    return INTERRUPTED if stop.asked else 0


def _run(arguments: argparse.Namespace, stop: Stop) -> None:
    path = find_model(arguments.model)
    model = TimedModel(Model(path, arguments.verify))
    _say(f"model {path} ({model.metadata.name})")
    _check_hop(arguments.hop_s, model.metadata)
    rules = None if arguments.judge is None else read_rules(arguments.judge, model.metadata.labels)
    options = Options(arguments.hop_s, arguments.explain, arguments.units, rules)
    if arguments.listen or len(arguments.port) > 1:
        _run_many(arguments, model, options, stop)
        return
    source = _source(arguments, stop)
    score = _score(arguments, source, model.metadata) if isinstance(source, RecordingFile) else None
    arrivals = Arrivals()
    with ExitStack() as stack:
        if isinstance(source, RecordingFile):
            if arguments.record:
                raise BadInput("--record keeps bytes as they arrive, and a recording file has none; leave --record out")
        else:
            # The first record comes before the capture's file is made: a port that cannot be opened leaves none.
            first = next(source, None)
            if first is None:
                return  # a wish to stop came earlier still
            if arguments.score:
                raise BadInput("--score compares with labels, which only recording files have; leave --score out")
            source = arrivals.of(chain([first], source))
            if arguments.record:
                source = stack.enter_context(recorded(arguments.record, source, _say))
        live = bool(arguments.port) or arguments.speed is not None
        sinks, see = _sinks(arguments, model.metadata, live, stack)
        for event in stream(source, model, options, speed=arguments.speed, stop=stop, say=_say, see=see):
            for sink in sinks:
                sink.write(event)
            arrivals.told()
            if score is not None:
                score.take(event)
    for line in score.report() if score else []:
        print(line, file=sys.stderr)
    if arguments.timing:
        _say(summary("model", model.took_ms))
        if arguments.port:
            _say(summary("from bytes to events", arrivals.took_ms))


def _run_many(arguments: argparse.Namespace, model: TimedModel, options: Options, stop: Stop) -> None:
    from mmvq_run.many import port_feed, stream_many
    from mmvq_run.sources.listener import listen, new_token, read_token

    names = dict.fromkeys(arguments.port)
    feeds = [port_feed(name, _port(name, arguments, stop)) for name in names]
    if arguments.listen:
        token = read_token(arguments.token) if arguments.token else new_token()
        feeds.append(listen(arguments.listen, token, arguments.reconnect, stop, _say))
        if not arguments.token:
            _say(f"token {token}: the first line that a wearable sends; keep one of your own with --token FILE")
    keep = (lambda device: capture_to(capture_of(arguments.record, device), _say)) if arguments.record else None
    with ExitStack() as stack:
        sinks, see = _sinks(arguments, model.metadata, True, stack)
        for event in stream_many(feeds, model, options, stop, _say, keep, see):
            for sink in sinks:
                sink.write(event)
    if arguments.timing:
        _say(summary("model", model.took_ms))


def _sinks(
    arguments: argparse.Namespace, metadata: Metadata, live: bool, stack: ExitStack
) -> tuple[list[Sink], Watcher | None]:
    """Where events go, and what looks at samples."""
    kept: list[Sink] = []
    if arguments.sink:
        from mmvq_run.sinks.where import open_sink

        kept = [stack.enter_context(open_sink(where, _say)) for where in arguments.sink]
    shown, see = stack.enter_context(choose(arguments.format, sys.stdout.buffer, metadata, live, _say))
    return [shown, *kept], see


def _source(arguments: argparse.Namespace, stop: Stop) -> Source:
    if arguments.port:
        return _port(arguments.port[0], arguments, stop)
    name = str(DEMO) if arguments.demo else arguments.input
    return open_source(name, arguments.units, stop, _say, speed=arguments.speed)


def _port(name: str, arguments: argparse.Namespace, stop: Stop) -> Iterator[Record | Tick]:
    return open_port(name, stop, _say, baud=arguments.baud, reconnect_s=arguments.reconnect)


def _score(arguments: argparse.Namespace, source: RecordingFile, metadata: Metadata) -> Score | None:
    if not arguments.score:
        return None
    if not source.labels:
        raise BadInput(f"{source.path}: has no labels to compare with; leave --score out")
    if foreign := [label for label in source.labels if label not in metadata.labels]:
        _say(f"the model does not know {', '.join(foreign[:8])}: those windows count as wrong")
    return Score(source, metadata, arguments.hop_s or metadata.hop_s)


def _check(arguments: argparse.Namespace) -> None:
    """What argparse cannot: options that go together, and defaults that depend on others."""
    if arguments.units.startswith("counts:"):
        counts_per_g(arguments.units)
    elif arguments.units not in ("auto", "g", "ms2"):
        raise BadInput(f"--units {arguments.units!r} is unknown; use auto, g, ms2 or counts:N (counts a g)")
    live = bool(arguments.port or arguments.listen)
    if live + bool(arguments.input) + arguments.demo != 1:
        raise BadInput("give one of --port, --listen, --input and --demo; see mmvq-run --help")
    if arguments.baud <= 0:
        raise BadInput(f"--baud {arguments.baud} is no speed; most devices use 115200")
    for option, given in (("--speed", "speed" in arguments), ("--score", arguments.score)):
        if live and given:
            raise BadInput(f"{option} is for what was recorded, not for what is live; leave {option} out")
    if arguments.token and not arguments.listen:
        raise BadInput("--token is for wearables that come by --listen; leave --token out")
    if "speed" not in arguments:
        arguments.speed = 1.0 if arguments.demo else None


def _check_hop(hop_s: float | None, metadata: Metadata) -> None:
    if hop_s is not None and hop_s * metadata.rate_hz < 1:
        raise BadInput(f"--hop-s {hop_s:g}: less than one sample at {metadata.rate_hz:g} Hz; give a longer hop")


def _parser() -> Parser:
    parser = Parser(
        prog=PROG,
        description="Activities from a wrist accelerometer, each with its reasons.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_argument_group("where samples come from (one of)")
    source.add_argument(
        "--port", action="append", default=[],
        help="serial port of the device, a URL of pyserial such as socket://host:port, ble://NAME, or synthetic:// for "
        "a wearable that is none; may be repeated",
    )
    source.add_argument(
        "--listen", metavar="[HOST:]PORT", help="wearables that come by TCP; HOST is this computer alone by default"
    )
    source.add_argument(
        "--input", metavar="FILE",
        help="a capture, protocol frames, a recording, CSV lines, a device's own file; - is standard input",
    )
    source.add_argument("--demo", action="store_true", help="replay the capture that comes with mmvq")
    parser.add_argument("--token", metavar="FILE", help="of --listen: hex digits, the first line that a wearable sends")
    parser.add_argument("--baud", type=int, default=BAUD, help=f"of the port (default {BAUD})")
    parser.add_argument(
        "--reconnect", metavar="S", type=seconds, default=RECONNECT_S,
        help=f"seconds to wait for a port that went away; 0: not at all (default {RECONNECT_S:g})",
    )
    parser.add_argument(
        "--speed", metavar="X", type=_speed, default=argparse.SUPPRESS,
        help="1 is true speed (default for --demo), max as fast as possible (default for files)",
    )
    parser.add_argument(
        "--units", default="auto", help="of recordings and CSV lines: auto, g, ms2 or counts:N (default auto)"
    )
    parser.add_argument("--model", metavar="FILE", help="default: $MMVQ_MODEL, runs/latest/student.onnx, the packaged")
    parser.add_argument("--verify", metavar="KEY", help="refuse a model that is not signed with this key (PEM, public)")
    parser.add_argument("--format", choices=("auto", "text", "jsonl"), default="auto", help="auto: text on a terminal")
    parser.add_argument("--explain", choices=tuple(SHOWN), default="top", help="pieces that counted (default top: 5)")
    parser.add_argument(
        "--judge", metavar="FILE", help="JSON: thresholds and durations of activities, instead of the model's own"
    )
    parser.add_argument(
        "--record", metavar="FILE",
        help="keep the bytes as they arrive, for --input later; of several wearables a folder, with a file for each",
    )
    parser.add_argument(
        "--sink", metavar="WHERE", action="append", default=[],
        help="keep events too: FILE.jsonl, sqlite:FILE.db, mqtt://host/topic, each with an id; may be repeated",
    )
    parser.add_argument("--hop-s", metavar="S", type=above_zero, help="seconds between windows")
    parser.add_argument("--score", action="store_true", help="compare with the file's labels, on stderr")
    parser.add_argument("--timing", action="store_true", help="say on stderr how long things took")
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    return above_zero(text)


def _say(message: str) -> None:
    sys.stderr.write(f"{PROG}: {message}\n")  # in one go: sinks and listeners say things from threads of their own
    sys.stderr.flush()
