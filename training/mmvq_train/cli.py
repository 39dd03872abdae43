"""mmvq-train: recordings and a text bank to a run directory."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import tyro

from mmvq_bridge.command import BadInput, run_command
from mmvq_train import __version__
from mmvq_train.config import PRESETS, Config
from mmvq_train.pipeline import say, train
from mmvq_train.rundir import mark_latest, resume_run, start_run

DESCRIPTION = """\
Train a signal-only activity recogniser that gives its reasons.

    mmvq-train                                       the embedded WISDM recordings, preset small -> runs/<time>
    mmvq-train --data my.parquet                     your own recordings (columns recording, subject, label, t_ms, x, y, z)
    mmvq-train --data my.csv --bank my_bank.json     with sub-actions written for your labels
    mmvq-train --resume runs/20261122-101500         go on with a run that was stopped
    mmvq-train --preset full --accelerator gpu       wider teachers, longer training

Afterwards: mmvq-export --quantize int8, then mmvq-run. Look at report.html in the run directory.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command("mmvq-train", _work, argv)


def _work(argv: Sequence[str]) -> None:
    config, resumed = parse(argv)
    if resumed:
        config, run = resume_run(resumed)
    else:
        config.check()
        run = start_run(config)
    say(f"run directory: {run}")
    metrics = train(config, run)
    if config.out is None:
        mark_latest(run)
    test = metrics["test"]
    people = f"{len(test['per_subject'])} unseen people" if metrics["split"] == "subject" else "later time, same wearer"
    say(f"macro-F1 {test['macro_f1']:.3f}, balanced accuracy {test['balanced_accuracy']:.3f} on {people}")
    say(f"report: {run / 'report.html'}")
    say("next: mmvq-export --quantize int8" + ("" if config.out is None else f" {run}"))


def parse(argv: Sequence[str]) -> tuple[Config, str | None]:
    """The configuration, or the directory to resume. `--preset` decides what the other options start from."""
    early = argparse.ArgumentParser("mmvq-train", add_help=False, allow_abbrev=False)
    early.add_argument("--preset", choices=list(PRESETS))
    early.add_argument("--resume")
    early.add_argument("--version", action="store_true")
    known, rest = early.parse_known_args(argv)
    if known.version:
        print(f"mmvq-train {__version__}")
        sys.exit(0)
    if known.resume:
        if rest or known.preset:
            raise BadInput(f"--resume goes on with the run's own configuration; leave {[*rest, '--preset'][0]} out")
        return Config(), known.resume
    preset = known.preset or "small"
    config = tyro.cli(
        Config,
        args=list(argv),
        default=PRESETS[preset],
        prog="mmvq-train",
        description=DESCRIPTION,
        config=(tyro.conf.FlagConversionOff,),
    )
    return replace(config, preset=preset), None
