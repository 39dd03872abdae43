"""mmvq-bridge check: a doctor for firmware, on a serial port."""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from mmvq_bridge.command import BadInput, Commands, say
from mmvq_bridge.doctor.examine import examine
from mmvq_bridge.doctor.heard import Heard
from mmvq_bridge.doctor.listener import Listener
from mmvq_bridge.doctor.questions import Questions
from mmvq_bridge.doctor.rest import AXES
from mmvq_bridge.doctor.speech import Line, is_garbage
from mmvq_bridge.findings import as_json, as_text, count_faults, counted
from mmvq_bridge.stream.records import Tick, printable
from mmvq_bridge.stream.serial_port import read_port
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.stream.wire import NOISE_BYTES

SECONDS: Final = 15.0  # three HELLO and STAT, and a clock's drift to some ten ppm by wire
LONGEST_S: Final = 86_400.0  # what is heard is kept in memory
USUAL_BAUDS: Final = (115200, 9600, 57600, 230400, 38400, 19200, 460800, 921600, 250000, 500000, 1000000, 2000000)
TRY_S: Final = 2.5  # at a baud rate: a board that restarts when its port opens speaks within two seconds, mostly
TERMINAL_S: Final = 0.2  # between two lines of progress that overwrite each other on a terminal, and
PROGRESS_S: Final = 5.0  # where there is none

Enough = Callable[[Listener], bool]

CHECK_HELP = f"""\
Listen to a device for some seconds and tell what is wrong with it, for authors of firmware: what it speaks, at which
baud rate, rates and clocks, what gets lost, and what its samples give away. It is asked to start and pinged meanwhile.
Where nothing can be understood, the other usual baud rates are tried, {min(USUAL_BAUDS)} to {max(USUAL_BAUDS)}.
"""
CHECK_EXAMPLES = """\
The report goes to stdout: faults, warnings, what could not be known in that time, what is fine. Lay the device down for
a second or more of it: scale and noise are seen at rest only. Exit status: 0 healthy (warnings or not), 1 faults found,
2 wrong usage or no such port.

examples:
  mmvq-bridge check --port /dev/ttyUSB0
  mmvq-bridge check --port /dev/ttyUSB0 --seconds 60         the clock's drift to some ppm
  mmvq-bridge check --port /dev/ttyUSB0 --up z               it lies still, z up: are axes swapped or flipped?
  mmvq-bridge check --port /dev/ttyUSB0 --up=-z              and upside down
  mmvq-bridge check --port socket://192.168.1.7:8000 --json
"""


def add_to(commands: Commands) -> None:
    """Add the command to a parser."""
    check = commands.add_parser(
        "check",
        help="tell what is wrong with a device on a serial port",
        description=CHECK_HELP,
        epilog=CHECK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--port", metavar="PORT", required=True, help="serial port, or a URL that pyserial takes")
    check.add_argument("--baud", metavar="N", default=115200, type=_baud, help="default 115200")
    check.add_argument(
        "--seconds", metavar="S", default=SECONDS, type=_seconds, help=f"how long to listen (default {SECONDS:g})"
    )
    check.add_argument(
        "--up", metavar="AXIS", choices=AXES, help="the device lies still with this axis up: x, y, z; --up=-z is down"
    )
    check.add_argument("--json", action="store_true", help="findings as one JSON object, for scripts")
    check.set_defaults(work=_check)


def _check(arguments: argparse.Namespace) -> int:
    name, wanted = arguments.port, arguments.baud
    line = Line(wanted, wanted)
    heard = _listen_long(name, wanted, arguments.seconds)
    if is_garbage(heard) and not name.startswith("socket://"):
        line = _other_baud(name, wanted)
        if line.baud != wanted:
            heard = _listen_long(name, line.baud, arguments.seconds)
    findings = examine(heard, line, arguments.up)
    if arguments.json:
        about = {"port": printable(name), "baud": line.baud, "seconds": round(heard.seconds, 1), "speaks": heard.speaks}
        print(as_json(findings, **about))
    else:
        print(as_text(findings))
    return 1 if count_faults(findings) else 0


def _listen_long(name: str, baud: int, seconds: float) -> Heard:
    heard = _listen(name, baud, seconds, _progress(seconds))
    if sys.stderr.isatty():
        say("")  # below the line that was overwritten
    return heard


def _listen(name: str, baud: int, seconds: float, enough: Enough) -> Heard:
    """What is heard in so many seconds, or until `enough`, which is asked after every read, says so."""
    listener, questions, stop = Listener(), Questions(), Stop()
    # A timer, because where a port that went away is waited for, nothing is read.
    timer = threading.Timer(seconds, setattr, (stop, "asked", True))
    timer.daemon = True
    timer.start()

    def ask(host_ns: int) -> bytes:
        # Boards that print lines may take bytes for keys: they are asked nothing.
        return questions(host_ns) if listener.speaks == "frames" else b""

    try:
        for item in read_port(name, baud, seconds, stop, _tell, ask):
            listener.take(item)
            stop.asked = stop.asked or enough(listener)
    finally:
        timer.cancel()
    if listener.lost:
        listener.take(Tick(time.monotonic_ns()))  # so long was it waited for
    return listener.heard(questions.asked)


def _other_baud(name: str, wanted: int) -> Line:
    """Where the device can be understood; `wanted`, with all that were tried, if nowhere."""
    tried = []
    for baud in USUAL_BAUDS:
        if baud == wanted:
            continue
        _tell(f"nothing can be understood; trying {baud} baud")
        try:
            heard = _listen(name, baud, TRY_S, _knows_enough)
        except BadInput:  # a rate that this port does not have
            continue
        if heard.size and not is_garbage(heard):
            return Line(baud, wanted)
        tried.append(baud)
    return Line(wanted, wanted, tuple(tried))


def _knows_enough(listener: Listener) -> bool:
    return listener.speaks in ("frames", "lines") or listener.size > NOISE_BYTES


def _progress(seconds: float) -> Enough:
    """Only garbage is enough. Now and then a line on stderr tells how much came; on a terminal it is overwritten."""
    begin = time.monotonic()
    is_terminal = sys.stderr.isatty()
    step_s = TERMINAL_S if is_terminal else PROGRESS_S
    due = begin

    def tell(listener: Listener) -> bool:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + step_s
            came = {"frames": counted(listener.frames, "frame"), "lines": counted(listener.lines, "line")}
            what = came.get(listener.speaks, counted(listener.size, "byte"))
            line = f"mmvq-bridge: {now - begin:.0f} of {seconds:g} s, {what}"
            print(f"\r{line}  " if is_terminal else line, end="" if is_terminal else "\n", file=sys.stderr, flush=True)
        return listener.size > NOISE_BYTES and listener.speaks == "bytes" and is_garbage(listener.heard())

    return tell


def _tell(message: str) -> None:
    # On a terminal, below the line that was overwritten.
    say("\n" * sys.stderr.isatty() + f"mmvq-bridge: {message}")


def _baud(text: str) -> int:
    baud = int(text)
    if baud <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no baud rate; 115200 is usual")
    return baud


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and {LONGEST_S:g}")
    return seconds
