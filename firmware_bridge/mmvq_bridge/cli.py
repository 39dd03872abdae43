"""The command mmvq-bridge."""

from collections.abc import Sequence

from mmvq_bridge import __version__
from mmvq_bridge.command import Parser, run_command
from mmvq_bridge.commands import check, import_files, record, simulate

PROG = "mmvq-bridge"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 done, 1 failed, 2 wrong usage or bad input, 130 on Ctrl-C."""
    return run_command(PROG, _work, argv)


def _work(argv: Sequence[str]) -> int:
    parser = Parser(prog=PROG, description="Between a wearable's bytes and samples: protocol 1, and a device to try.")
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (check, import_files, record, simulate):
        module.add_to(commands)
    arguments = parser.parse_args(argv)
    status: int = arguments.work(arguments)
    return status
