"""mmvq-export: a run directory to student.onnx."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmvq_bridge.command import BadInput, Failed, Parser, run_command
from mmvq_bridge.files import atomic
from mmvq_export import __version__

DESCRIPTION = """\
Write a finished run as one small ONNX file that mmvq-run, or any ONNX Runtime, can use.

    mmvq-export --quantize int8                 runs/latest -> runs/latest/student.onnx
    mmvq-export runs/20261122-101500            that run, in float
    mmvq-export --quantize int8 --target arm64  for a Raspberry Pi
    mmvq-export --batch 32 --out server.onnx    for judging many windows at once
    mmvq-export inspect runs/latest/student.onnx --html model.html    what a file holds, every code drawn

The file is compared with the student on held-out training people first; if labels, codes or reasons differ by more than
the gates allow, nothing is written (unless --force, which the file then says of itself).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command("mmvq-export", _work, argv)


def _parser() -> Parser:
    parser = Parser(
        "mmvq-export", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", default="runs/latest", metavar="RUN", help="run directory (runs/latest)")
    parser.add_argument("--quantize", choices=["none", "int8"], default="none", help="weights and activations (none)")
    parser.add_argument("--out", metavar="FILE", help="model file (RUN/student.onnx)")
    parser.add_argument("--target", choices=["x86", "arm64"], default="x86", help="whose int8 kernels to suit (x86)")
    parser.add_argument("--batch", default="1", metavar="1|N|dynamic", help="windows a call (1, fastest for live use)")
    parser.add_argument(
        "--report", metavar="FILE", help="write the gates' figures as JSON, and ms a call if this machine is the target"
    )
    parser.add_argument("--sign", metavar="KEY", help="sign the file with this Ed25519 key (PEM, private)")
    parser.add_argument("--force", action="store_true", help="write the file although a gate failed")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")
    parser.add_argument("--version", action="version", version=f"mmvq-export {__version__}")
    return parser


def _inspect_parser() -> Parser:
    parser = Parser("mmvq-export inspect", description="What a model file holds, for a person to read.")
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="$MMVQ_MODEL, else runs/latest/student.onnx, else the packaged one"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page instead, with every code drawn")
    parser.add_argument("--verify", metavar="KEY", help="refuse a file that is not signed with this key (PEM, public)")
    parser.add_argument("--debug", action="store_true", help="show a traceback on errors")
    return parser


def _work(argv: Sequence[str]) -> None:
    if argv[:1] == ["inspect"]:
        _inspect(_inspect_parser().parse_args(argv[1:]))
        return
    arguments = _parser().parse_args(argv)
    batch = _batch(arguments.batch)
    # Only now: torch takes seconds to load, and --help and a wrong option should not.
    from mmvq_export.export import export_run, spent
    from mmvq_export.metadata import private_key

    key = private_key(arguments.sign) if arguments.sign else None
    out = Path(arguments.out) if arguments.out else Path(arguments.run) / "student.onnx"
    if out.is_dir():
        raise BadInput(f"{out}: is a directory; --out names the model file")
    exported = export_run(Path(arguments.run), arguments.quantize, arguments.target, batch)
    for gate in exported.gates:
        print(gate, file=sys.stderr)
    if arguments.report:
        took = spent(exported, arguments.target, batch)
        if took and took["int8"] > took["float"]:
            print(f"warning: slower in int8 ({took['int8']:.3f} ms a call) than in float ({took['float']:.3f} ms)",
                  file=sys.stderr)
        _write_report(Path(arguments.report), exported.report | ({"ms_a_call": took} if took else {}))
    failed = [gate.name for gate in exported.gates if not gate.passed]
    if failed and not arguments.force:
        raise Failed(f"no file written: {', '.join(failed)} failed; try --quantize none, or --force to write it anyway")
    data = exported.data(failed, key)
    with atomic(out) as part:
        part.write_bytes(data)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB, {arguments.quantize}", file=sys.stderr)
    print(f"next: mmvq-run --model {out} --port PORT, or --demo for a recorded wearer", file=sys.stderr)


def _inspect(arguments: argparse.Namespace) -> None:
    from mmvq_export.inspection import inspect, told, write_inspection
    from mmvq_run.model import find_model

    found = inspect(find_model(arguments.model), arguments.verify)
    if arguments.html:
        write_inspection(found, arguments.html)
        print(f"{arguments.html}: what {found.path} holds", file=sys.stderr)
        return
    for line in told(found):
        print(line)


def _batch(text: str) -> Any:
    if text == "dynamic":
        return text
    if not (text.isdecimal() and 1 <= int(text) <= 4096):
        raise BadInput(f"--batch {text}: a number of windows from 1 to 4096, or dynamic")
    return int(text)


def _write_report(path: Path, report: dict[str, Any]) -> None:
    from mmvq_train.rundir import write_json

    write_json(path, report)
