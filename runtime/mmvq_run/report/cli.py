"""The command mmvq-run report: a page of a file of events."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput, Parser
from mmvq_run.report import write_report

PROG: Final = "mmvq-run report"
EXAMPLES: Final = """\
examples:
  mmvq-run --port /dev/ttyUSB0 --format jsonl > day.jsonl
  mmvq-run report day.jsonl
"""


def work(argv: Sequence[str]) -> int:
    """Write the page that `argv` (what follows the word report) asks for; gives the exit status."""
    arguments = _parser().parse_args(argv)
    events = Path(arguments.events)
    out = Path(arguments.out) if arguments.out else events.with_suffix(".html")
    if out.resolve() == events.resolve():
        raise BadInput(f"{out}: is the file of events itself; give another name with --out")
    if out.is_dir():
        raise BadInput(f"{out}: a folder; give the page's name with --out")
    write_report(events, out)
    print(f"{out}: what {events} tells", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog=PROG,
        description="A page of a day: what the wearer did, why the model thinks so, and where data is missing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("events", metavar="EVENTS.jsonl", help="what mmvq-run --format jsonl wrote")
    parser.add_argument("--out", metavar="PAGE.html", help="default: EVENTS.html, beside it")
    return parser
