"""mmvq-bridge record: a labelled recording file of what comes through a port."""

import argparse
import math
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput, Commands, Failed, above_zero, seconds
from mmvq_bridge.commands import tell
from mmvq_bridge.recorder.journal import LEAST_SAMPLES, SETTLE, Fact, Row
from mmvq_bridge.recorder.keeping import Part, file_to_add_to, finish, part_of
from mmvq_bridge.recorder.keyboard import Keyboard, KeyReader, LineReader, Reader, single_keys
from mmvq_bridge.recorder.labels import SETTLE_S, checked, checked_label, parse_keys
from mmvq_bridge.recorder.live import Recorder
from mmvq_bridge.recorder.report import progress, summary
from mmvq_bridge.recorder.screen import Screen
from mmvq_bridge.recordings import RecordingFile, counts_per_g
from mmvq_bridge.stream.reconnect import PortLost
from mmvq_bridge.stream.records import Record, Tick
from mmvq_bridge.stream.serial_port import BAUD, RECONNECT_S, read_port
from mmvq_bridge.stream.stop import Stop

NAME: Final = "mmvq-bridge"
INTERRUPTED: Final = 130

RECORD_HELP = """\
Record what a device sends (protocol 1, or CSV lines x,y,z or t_ms,x,y,z) with labels, for mmvq-train.
Type a label and Enter when it begins; Enter alone ends it; undo takes the last one back (what it held for has no
label then); quit, Ctrl-D or Ctrl-C end the recording and write the file. With --keys one key does it.
"""
RECORD_EXAMPLES = f"""\
A label does not hold for {SETTLE_S:g} s (--settle) after its key and before the next, nor before the end: people press
the key and then begin. A device that restarts, or is lost and comes back, begins another recording in the same file;
the label goes on. Labels may come from a pipe, a line each; its end does not end the recording, a line quit does.

While it runs all is in FILE.part. A run that was killed leaves that, and --finish makes the file of it.

examples:
  mmvq-bridge record --port /dev/ttyACM0 --out anna.parquet --subject anna
  mmvq-bridge record --port /dev/ttyACM0 --out anna.parquet --subject anna --append --keys w=walking,s=sitting
  mmvq-bridge record --port /dev/ttyACM0 --out rest.csv --label sitting --seconds 120
  mmvq-bridge record --out anna.parquet --finish

exit status: 0 done, 1 failed while working (no sample came, a port stayed away: what came is written), 2 wrong usage
or bad input, {INTERRUPTED} on Ctrl-C (after the file is written)
"""


def add_to(commands: Commands) -> None:
    """Add the command to a parser."""
    record = commands.add_parser(
        "record",
        help="record a port with labels, for mmvq-train",
        description=RECORD_HELP,
        epilog=RECORD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    record.add_argument("--out", metavar="FILE", required=True, help="Parquet, or CSV if the name ends in .csv")
    record.add_argument("--port", help="serial port of the device, or a URL of pyserial such as socket://host:port")
    record.add_argument("--append", action="store_true", help="add recordings to FILE if it is there")
    record.add_argument("--finish", action="store_true", help="make FILE of what a killed run left, and end")
    record.add_argument("--label", default="", help="the label to begin with")
    record.add_argument(
        "--keys", metavar="K=LABEL,...", type=parse_keys, default={},
        help="a key for each label, on a terminal; blank ends a label, Backspace takes it back",
    )  # fmt: skip
    record.add_argument(
        "--seconds", metavar="S", type=above_zero, default=math.inf, help="end so long after the first sample"
    )
    record.add_argument(
        "--settle", metavar="S", type=seconds, default=SETTLE_S,
        help=f"seconds without a label on both sides of a change (default {SETTLE_S:g})",
    )  # fmt: skip
    record.add_argument("--subject", metavar="NAME", default="", help="who wears it")
    record.add_argument("--position", metavar="WHERE", default="", help="where it is worn, such as 'left wrist'")
    record.add_argument("--name", default="", help="of the data set (default: the file's)")
    record.add_argument("--units", default="auto", help="of CSV lines: auto, g, ms2 or counts:N (default auto)")
    record.add_argument("--baud", type=int, default=BAUD, help=f"of the port (default {BAUD})")
    record.add_argument(
        "--reconnect", metavar="S", type=seconds, default=RECONNECT_S,
        help=f"seconds to wait for a port that went away; 0: not at all (default {RECONNECT_S:g})",
    )  # fmt: skip
    record.set_defaults(work=_record)


def _record(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    if not out.name or out.is_dir():
        raise BadInput(f"{out}: a folder; give --out the name of a file in it")
    if arguments.finish:
        return _tell(*finish(out))
    facts = _facts(arguments, out)
    old = file_to_add_to(out, arguments.append)
    run = _Run(arguments, _recorder(arguments, old), facts)
    with run.stop.on_signals(), Screen(sys.stderr, NAME) as screen:
        error = run.record(out, screen)
    recorder = run.recorder
    for notice in recorder.notices:
        tell(notice)
    if recorder.samples < LEAST_SAMPLES:
        part_of(out).unlink()
        nothing = f"no sample came, so there is no {out}; is the device on, and is it the right port?"
        if not run.is_interrupted:
            raise error or Failed(nothing)
        tell(nothing)
        return INTERRUPTED
    if recorder.bad_frames:
        tell(f"{recorder.bad_frames} damaged frames or lines were left out")
    _tell(*finish(out), recorder.lost)
    if error is not None:
        raise error
    return INTERRUPTED if run.is_interrupted else 0


class _Run:
    """A recording from the first byte to the last.

    is_interrupted: whether Ctrl-C or a signal ended it, and neither a word nor the time.
    """

    def __init__(self, arguments: argparse.Namespace, recorder: Recorder, facts: dict[str, str]) -> None:
        self.stop, self.recorder, self.is_interrupted = Stop(), recorder, False
        self._arguments, self._facts = arguments, facts

    def record(self, out: Path, screen: Screen) -> Exception | None:
        """Record to the part of `out`; gives what ended it, if that is an error."""
        given = self._arguments
        source = read_port(given.port, given.baud, given.reconnect, self.stop, screen.say)
        first = next(source)  # before the part is made: a port that cannot be opened leaves none
        terminal = single_keys() and bool(given.keys or sys.stderr.isatty())  # whose echo is on stderr
        reader: Reader = KeyReader(given.keys, screen.say) if given.keys else LineReader(terminal)
        with Part(out, given.subject) as part, Keyboard(reader, terminal, self.stop, screen.echo) as keyboard:
            screen.say(f"records to {out}; {reader.help}")
            part.write(Row(0, Fact(key, value)) for key, value in self._facts.items())
            if given.label:
                self._press(first.host_ns, given.label, screen)
            error = self._listen(chain([first], source), part, keyboard, screen)
            part.write(self.recorder.finish())
        return error

    def _listen(
        self, source: Iterator[Record | Tick], part: Part, keyboard: Keyboard, screen: Screen
    ) -> Exception | None:
        recorder, given = self.recorder, self._arguments
        is_over = False
        try:
            for item in source:
                for host_ns, word in keyboard.words():
                    self._press(host_ns, word, screen)
                part.write(recorder.feed(item))
                for notice in recorder.notices:
                    screen.say(notice)
                recorder.notices.clear()
                if recorder.trouble is not None:
                    return recorder.trouble
                if recorder.elapsed(item.host_ns) >= given.seconds:
                    is_over = self.stop.asked = True
                screen.show(progress(recorder, given.settle, item.host_ns), item.host_ns)
        except PortLost as error:
            return error
        self.is_interrupted = not (is_over or keyboard.has_quit)
        for host_ns, word in keyboard.words():
            self._press(host_ns, word, screen)
        return None

    def _press(self, host_ns: int, word: str, screen: Screen) -> None:
        at = f"{self.recorder.elapsed(host_ns):.1f} s"
        try:
            screen.say(f"{at}: {self.recorder.press(host_ns, word)}")
        except BadInput as error:
            screen.say(f"{at}: {error}; the label is still {self.recorder.labels.current or 'none'}")


def _facts(arguments: argparse.Namespace, out: Path) -> dict[str, str]:
    """What argparse cannot check, and what is known before anything comes."""
    if arguments.port is None:
        raise BadInput("--port is missing: the device's port; see mmvq-bridge record --help")
    if arguments.units.startswith("counts:"):
        counts_per_g(arguments.units)
    elif arguments.units not in ("auto", "g", "ms2"):
        raise BadInput(f"--units {arguments.units!r} is unknown; use auto, g, ms2 or counts:N (counts a g)")
    if arguments.baud <= 0:
        raise BadInput(f"--baud {arguments.baud} is no speed; most devices use 115200")
    if arguments.keys and not single_keys():
        why = "needs a terminal to press them at" if find_spec("termios") else "needs termios, which this system lacks"
        raise BadInput(f"--keys {why}; leave it out and give labels as lines")
    arguments.label = checked_label(arguments.label)
    arguments.subject = checked(arguments.subject, "--subject")
    meta = {f"mmvq.{word}": checked(getattr(arguments, word), f"--{word}") for word in ("position", "name")}
    meta = {key: value for key, value in meta.items() if value}
    if meta and out.suffix == ".csv":
        raise BadInput(f"{out}: CSV has no place for --position and --name; give a name that ends in .parquet")
    return {SETTLE: f"{arguments.settle:g}", **meta}


def _recorder(arguments: argparse.Namespace, old: RecordingFile | None) -> Recorder:
    known = tuple(arguments.keys.values())
    if old is None:
        return Recorder(arguments.units, known=known)
    for word in ("position", "name"):
        has, given = old.meta.get(f"mmvq.{word}"), getattr(arguments, word)
        if given and has and given != has:
            raise BadInput(f"{old.path}: has --{word} {has!r}, and a file has one; leave it out, or give another --out")
    number = 1 + max(recording.id for recording in old.recordings)
    return Recorder(arguments.units, number, old.rate_hz, (*known, *old.labels))


def _tell(whole: RecordingFile, new: RecordingFile, lost: int | None = None) -> int:
    for line in summary(whole, new, lost):
        tell(line)
    return 0
