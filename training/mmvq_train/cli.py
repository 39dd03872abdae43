"""mmvq-train: recordings and a text bank to a run directory."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import replace

import tyro

from mmvq_bridge.command import BadInput, Parser, run_command, say
from mmvq_train import __version__
from mmvq_train.config import PRESETS, Config, Preset
from mmvq_train.data import load_dataset
from mmvq_train.fitting import device_of
from mmvq_train.pipeline import train
from mmvq_train.rundir import mark_latest, resume_run, start_run
from mmvq_train.text import checked_size, embeddings_beside, label_phrases, resolve_bank

DESCRIPTION = """\
Train a signal-only activity recogniser that gives its reasons.

    mmvq-train                                       the embedded WISDM recordings, preset small -> runs/<time>
    mmvq-train --data my.parquet                     your own (columns recording, subject, label, t_ms, x, y, z)
    mmvq-train --data my.csv --bank my_bank.json     with sub-actions written for your labels
    mmvq-train --resume runs/20261122-101500         go on with a run that was stopped
    mmvq-train --preset full --accelerator gpu       wider teachers, longer training
    mmvq-train --teachers.use signal:28-3 gramian codebook --student.method kd    other teachers, learnt from otherwise

Afterwards: mmvq-export --quantize int8, then mmvq-run. Look at report.html in the run directory.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command("mmvq-train", _work, argv)


def _work(argv: Sequence[str]) -> None:
    config, resumed = parse(argv)
    if resumed:
        config, run = resume_run(resumed)
        device_of(config.accelerator)
        data = load_dataset(config)
    else:
        config.check()
        device_of(config.accelerator)  # refuses a GPU that is not there
        data = load_dataset(config)
        bank, _ = resolve_bank(config.bank, data.labels)  # unusable data or bank: known before there is a directory
        checked_size(config.codebook.actions, len(bank.activities))
        label_phrases(bank, config.codebook.texts)
        embeddings_beside(bank)
        run = start_run(config)
    say(f"run directory: {run}")
    metrics = train(config, data, run)
    if config.out is None:
        mark_latest(run)
    test = metrics["test"]
    people = f"{len(test['per_subject'])} unseen people" if metrics["split"] == "subject" else "later time, same wearer"
    say(f"macro-F1 {test['macro_f1']:.3f}, balanced accuracy {test['balanced_accuracy']:.3f} on {people}")
    say(f"report: {run / 'report.html'}")
    say("next: mmvq-export --quantize int8" + ("" if config.out is None else f" {run}"))


def parse(argv: Sequence[str]) -> tuple[Config, str | None]:
    """The configuration, or the directory to resume. `--preset` decides what the other options start from."""
    early = Parser("mmvq-train", add_help=False, allow_abbrev=False)
    early.add_argument("--preset", choices=list(PRESETS))
    early.add_argument("--resume")
    early.add_argument("--version", action="version", version=f"mmvq-train {__version__}")
    known, rest = early.parse_known_args(argv)
    if known.resume:
        if rest or known.preset:
            raise BadInput(f"--resume goes on with the run's own configuration; leave {[*rest, '--preset'][0]} out")
        return Config(), known.resume
    preset: Preset = known.preset or "small"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            config = tyro.cli(
                Config,
                args=list(argv),
                default=PRESETS[preset],
                prog="mmvq-train",
                description=DESCRIPTION,
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise BadInput(f"{_first_said(said.getvalue())}; see mmvq-train --help") from None
    return replace(config, preset=preset), None


def _first_said(box: str) -> str:
    """What a drawn box says in its first paragraph, on one line: tyro's errors are for reading at leisure."""
    lines = [line.strip("│ ").strip() for line in box.splitlines()]
    words: list[str] = []
    for line in lines:
        if set(line) <= set("─╭╮╰╯ ") or line.startswith(("╭", "╰")):
            if words:
                break
            continue
        words.append(line)
    return " ".join(words)
