"""mmvq-bridge simulate: a wearable to try, on a pseudo-terminal."""

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from mmvq_bridge.command import BadInput, Commands
from mmvq_bridge.commands import tell
from mmvq_bridge.device import PAUSE_S, wear
from mmvq_bridge.faults import KINDS, FaultyLine, faulty_device, parse_faults
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings

SIMULATE_HELP = f"""\
Play a recording as a wearable on a serial port would: protocol 1 through a pseudo-terminal at PATH (Linux).
The device boots when a reader opens PATH; the port vanishes when the recording is over. Several recordings
are one wearing with {PAUSE_S:g} s between them. The same file, seed and faults give the same bytes.
"""
FAULTS = "\n".join(f"  {kind:8} {meaning}" for kind, meaning in KINDS.items())
SIMULATE_EXAMPLES = f"""\
faults, KIND=X:
{FAULTS}

reset=10 restarts the device once, 10 s after its first boot, with the next boot_id and its clock from the start.
unplug=10 ends all at 10 s. With replug=3 the port is back 3 s later, with another pseudo-terminal behind PATH, the
device boots as after a reset, and it is unplugged again 10 s after each boot, until the recording is over.
The recording goes on meanwhile: samples of the time between are not taken.

examples:
  mmvq-bridge simulate walk.csv --link /tmp/wrist &
  mmvq-run --port /tmp/wrist

  mmvq-bridge simulate wisdm.parquet --link /tmp/wrist --subject 1600 --speed max
  mmvq-bridge simulate walk.csv --link /tmp/wrist --fault drop=0.01 --fault corrupt=0.01 --fault unplug=60
  mmvq-bridge simulate walk.csv --link /tmp/wrist --fault unplug=20 --fault replug=3
  mmvq-bridge simulate walk.csv --link /tmp/wrist --fault clock=4290 --fault drift=200 --fault jitter=30
"""


def add_to(commands: Commands) -> None:
    """Add the command to a parser."""
    simulate = commands.add_parser(
        "simulate",
        help="play a recording as a wearable on a serial port would",
        description=SIMULATE_HELP,
        epilog=SIMULATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    simulate.add_argument("file", metavar="FILE", help="recording file: Parquet, or CSV with the same header")
    simulate.add_argument("--link", metavar="PATH", required=True, help="where the port appears; must not exist")
    simulate.add_argument(
        "--speed",
        metavar="X",
        default="1",
        type=_speed,
        help="1 is true speed (default), 10 ten times as fast, max as fast as the reader reads",
    )
    simulate.add_argument("--subject", metavar="S", action="append", help="play this wearer only (may be repeated)")
    simulate.add_argument(
        "--recording", metavar="N", action="append", type=int, help="play this recording only (may be repeated)"
    )
    simulate.add_argument(
        "--seed",
        metavar="N",
        default=0,
        type=_seed,
        help="places of the faults, and the boot_id: another seed is another boot (default 0)",
    )
    simulate.add_argument(
        "--fault",
        metavar="KIND=X",
        action="append",
        default=[],
        help="what goes wrong: kinds below (may be repeated)",
    )
    simulate.set_defaults(work=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    try:
        from mmvq_bridge import link
    except ImportError:
        raise BadInput("simulate needs pseudo-terminals, which this system lacks; use Linux") from None

    faults = parse_faults(arguments.fault)
    line = FaultyLine(faults, arguments.seed)
    file = read_recordings(arguments.file)
    recordings = _chosen(file, arguments.subject, arguments.recording)
    device = faulty_device([wear(recordings, file.rate_hz)], file.rate_hz, faults, arguments.seed)
    # So that the link goes away on `kill` as well.
    signal.signal(signal.SIGTERM, _terminate)
    for notice in file.notices:
        tell(notice)
    with link.PseudoTerminal(arguments.link) as port:
        many = f"{len(recordings)} recording{'s' * (len(recordings) > 1)}"
        tell(f"{many}, {device.duration_s:.1f} s at {file.rate_hz:g} Hz; {port.link} waits for a reader")
        played = link.play(port, line, device, arguments.speed, lambda: tell("a reader is there: booted"))
    ending = "unplugged" if faults.unplug_s < device.duration_s and faults.replug_s == math.inf else "recording over"
    counts = {
        "dropped on the line": line.dropped,
        "corrupted": line.corrupted,
        "swapped with the next": line.swapped,
        "while nobody listened": played.unheard,
        "the reader was too slow for": played.overrun,
        "bytes were changed": line.wrong_bytes,
        "bytes were never read": played.unread,
        "samples the device lost": device.samples_overrun,
        "samples were not taken": device.samples_missed,
        "times unplugged": played.unplugs if ending != "unplugged" else 0,
    }
    lost = "".join(f"; {count} {what}" for what, count in counts.items() if count)
    tell(f"{ending}: {played.sent} frames sent{lost}")
    return 0


def _chosen(file: RecordingFile, subjects: Sequence[str] | None, numbers: Sequence[int] | None) -> list[Recording]:
    for subject in subjects or []:
        if subject not in file.subjects:
            raise BadInput(f"{file.path}: no subject {subject!r}; it has {_some(file.subjects)}")
    for number in numbers or []:
        if number not in [recording.id for recording in file.recordings]:
            raise BadInput(f"{file.path}: no recording {number}; it has {_some([r.id for r in file.recordings])}")
    chosen = [
        recording
        for recording in file.recordings
        if (not subjects or recording.subject in subjects) and (not numbers or recording.id in numbers)
    ]
    if not chosen:
        raise BadInput(f"{file.path}: no such recording by such a subject; leave --recording or --subject out")
    return chosen


def _some(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    speed = float(text)
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither above 0 nor the word max")
    return speed


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 2^32 - 1, where a boot_id lies")
    return seed


def _terminate(number: int, at: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
