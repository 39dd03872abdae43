"""mmvq-vqshape: pre-train VQShape, and look at what its tokens are worth."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import torch

from mmvq_bridge.command import BadInput, Parser, run_command, say
from mmvq_bridge.files import atomic
from mmvq_train import __version__
from mmvq_train.config import Accelerator, Config
from mmvq_train.fitting import device_of
from mmvq_train.rundir import write_json
from mmvq_train.vqshape.complete import forecast_errors, imputation_errors
from mmvq_train.vqshape.config import PRESETS, Recipe, VQShapeConfig, dials
from mmvq_train.vqshape.evaluate import KINDS, evaluate
from mmvq_train.vqshape.features import tokenize
from mmvq_train.vqshape.model import VQShape
from mmvq_train.vqshape.sources import Source, all_series, read_sources
from mmvq_train.vqshape.training import MODEL, load_vqshape, pretrain

RUN: Final = Path("runs/vqshape")

DESCRIPTION = """\
VQShape (Wen et al., NeurIPS 2024) as published: series to shape tokens, without labels. A baseline.

    mmvq-vqshape pretrain                                 the embedded recordings, preset small -> runs/vqshape
    mmvq-vqshape evaluate                                 a linear layer on its tokens, on people it never saw
    mmvq-vqshape forecast --seen 24                       from the first 24 of small's 32 patches
    mmvq-vqshape impute --share 0.25                      a quarter of the patches hidden
    mmvq-vqshape tokenize --out tokens.npz
    mmvq-vqshape pretrain --preset full --data A_TRAIN.ts.gz B_TRAIN.ts.gz my.parquet --out runs/uea
    mmvq-vqshape evaluate --model runs/uea --data A_TRAIN.ts.gz

Data: recording files (Parquet or CSV), cut into windows and split by subject as mmvq-train does, or the .ts files of
the UEA archive, each standing for the _TEST file beside it too. Pre-training sees the training parts alone.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command("mmvq-vqshape", _work, argv)


def _work(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(argv)
    arguments.run(arguments)


def _parser() -> Parser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("mmvq-vqshape", description=DESCRIPTION, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"mmvq-vqshape {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None], help: str, more: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=more, allow_abbrev=False)
        added.set_defaults(run=run)
        _add_data(added)
        added.add_argument("--accelerator", choices=get_args(Accelerator), default="auto")
        return added

    train = command(
        "pretrain",
        _pretrain,
        "learn shapes from series, without labels",
        "Train on every channel of every training series. The same command goes on with a run that was stopped. "
        "`--preset` decides what the other options start from: full is the published configuration, for GPUs; small "
        "takes two minutes on a CPU. Defaults below are those of full.",
    )
    train.add_argument("--out", type=Path, default=RUN, metavar="DIR", help="run directory (default %(default)s)")
    train.add_argument("--preset", choices=list(PRESETS), default="small", help="default: %(default)s")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--devices", default="auto", help="as Lightning takes it: auto, a number, or 0,2")
    train.add_argument("--strategy", default="auto", help="as Lightning takes it: auto, ddp, fsdp, ...")
    for title, kind in (("the net", VQShapeConfig), ("the recipe", Recipe)):
        _add_dials(train.add_argument_group(title), kind)

    judge = command(
        "evaluate",
        _evaluate,
        "accuracy and macro-F1 of a linear layer on its features",
        "Token features (z_q, t, l, offset, scale of every token) and histogram features (how often each code occurs) "
        "into one linear layer, whose strength is chosen by cross-validation over the training people.",
    )
    _add_model(judge, "evaluate.json")

    tokens = command(
        "tokenize",
        _tokenize,
        "write the tokens of a data set",
        "An .npz of one data set; for train_ and test_: codes (N, channels, T), values (N, channels, T, code + 4) = "
        "[z_q, t, l, offset, scale], mean and deviation (N, channels), y, subject; and labels.",
    )
    _add_model(tokens, "tokens.npz")

    ahead = command(
        "forecast",
        _forecast,
        "rebuild whole series from their first patches",
        "Errors on what was not seen, in each channel's deviation in the training part, beside those of repeating the "
        "mean and the last value.",
    )
    _add_model(ahead, "forecast.json")
    ahead.add_argument("--seen", type=int, help="patches that are seen (default: three quarters)")

    fill = command(
        "impute",
        _impute,
        "rebuild patches that are hidden",
        "Errors on random hidden patches, in each channel's deviation in the training part, beside those of the mean "
        "and of a straight line between the neighbours.",
    )
    _add_model(fill, "impute.json")
    fill.add_argument("--share", type=float, default=0.25, help="of the patches, hidden (default %(default)g)")
    fill.add_argument("--seed", type=int, default=0)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", nargs="+", default=[], metavar="FILE", help="default: the embedded recordings")
    group.add_argument("--split", nargs="+", default=[], metavar="FILE", help="subject folds, one a recording file")
    group.add_argument("--fold", type=int, default=0, help="the fold that tests (default %(default)s)")
    for name, default in (("--window-s", Config.window_s), ("--hop-s", None), ("--rate-hz", Config.rate_hz)):
        said = "half a window" if default is None else f"{default:g}"
        group.add_argument(name, type=float, default=default, help=f"of recording files (default {said})")


def _add_model(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument("--model", type=Path, default=RUN, metavar="RUN", help="run directory (default %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: {out} in the run directory")
    parser.set_defaults(file=out)


def _add_dials(group: Any, kind: type[VQShapeConfig] | type[Recipe]) -> None:
    for name, (hint, dial) in dials(kind).items():
        default = getattr(kind(), name)
        said = f"{default:g}" if isinstance(default, float) else default
        taken: dict[str, Any] = {"type": int if "int" in str(hint) else float}
        if hint is bool:
            taken = {"type": str, "choices": ["True", "False"]}
        elif isinstance(default, str):
            taken = {"choices": get_args(hint)}
        else:
            taken["metavar"] = "N"
        group.add_argument(f"--{name.replace('_', '-')}", help=f"{dial.help} (default {said})", **taken)


def _given(arguments: argparse.Namespace, kind: type[VQShapeConfig] | type[Recipe]) -> dict[str, Any]:
    """What the command line says of a configuration's options."""
    given = {name: getattr(arguments, name) for name in dials(kind)}
    said = {name: value for name, value in given.items() if value is not None}
    return {name: value == "True" if value in ("True", "False") else value for name, value in said.items()}


def _pretrain(arguments: argparse.Namespace) -> None:
    config, recipe = PRESETS[arguments.preset]
    config = replace(config, **_given(arguments, VQShapeConfig))
    recipe = replace(recipe, **_given(arguments, Recipe))
    config.check()
    recipe.check()
    if not 0 <= arguments.seed < 2**32:
        raise BadInput(f"--seed {arguments.seed} lies outside 0 to {2**32 - 1}")
    if (arguments.out / MODEL).exists():
        raise BadInput(f"{arguments.out}: there is a finished model in it; give another --out")
    series = all_series(_sources(arguments), config.samples)
    say(f"run directory: {arguments.out}; {len(series)} series of one channel")
    pretrain(
        config,
        series,
        arguments.out,
        recipe,
        seed=arguments.seed,
        accelerator=arguments.accelerator,
        devices=arguments.devices,
        strategy=arguments.strategy,
    )
    say(f"next: mmvq-vqshape evaluate --model {arguments.out}")


def _evaluate(arguments: argparse.Namespace) -> None:
    model, figures = _model(arguments), []
    for source in _sources(arguments):
        found = evaluate(model, source)
        each = [f"{kind} {found[kind]['accuracy']:.3f} / {found[kind]['macro_f1']:.3f}" for kind in KINDS]
        say(f"{source.name}: accuracy / macro-F1: {', '.join(each)}; {found['codes']['used']} codes in use")
        figures.append(found)
    _write(arguments, figures)


def _forecast(arguments: argparse.Namespace) -> None:
    model = _model(arguments)
    seen = model.config.patches * 3 // 4 if arguments.seen is None else arguments.seen
    _errors(arguments, lambda source: forecast_errors(model, source.test.x, _unit(source), seen))


def _impute(arguments: argparse.Namespace) -> None:
    model = _model(arguments)
    _errors(
        arguments,
        lambda source: imputation_errors(model, source.test.x, _unit(source), arguments.share, arguments.seed),
    )


def _errors(arguments: argparse.Namespace, errors: Callable[[Source], dict[str, Any]]) -> None:
    figures = []
    for source in _sources(arguments):
        found = errors(source)
        each = [f"{name} {e['mse']:.3f} / {e['mae']:.3f}" for name, e in found.items() if isinstance(e, dict)]
        say(f"{source.name}: MSE / MAE: {', '.join(each)}")
        figures.append({"name": source.name, **found})
    _write(arguments, figures)


def _tokenize(arguments: argparse.Namespace) -> None:
    model, sources = _model(arguments), _sources(arguments)
    if len(sources) != 1:
        raise BadInput("tokenize writes one data set a file; give one --data")
    arrays: dict[str, Any] = {"labels": np.array(sources[0].labels)}
    for part, data in (("train", sources[0].train), ("test", sources[0].test)):
        named = tokenize(model, data.x)._asdict() | {"y": data.y}
        if data.subject is not None:
            named["subject"] = data.subject
        arrays |= {f"{part}_{name}": value for name, value in named.items()}
    out = arguments.out or arguments.model / arguments.file
    with atomic(out) as temporary, temporary.open("wb") as file:  # a name without .npz stays as it is
        np.savez_compressed(file, allow_pickle=False, **arrays)
    say(f"tokens: {out}")


def _model(arguments: argparse.Namespace) -> VQShape:
    return load_vqshape(arguments.model).to(device_of(arguments.accelerator))


def _sources(arguments: argparse.Namespace) -> list[Source]:
    windows = Config(fold=arguments.fold, window_s=arguments.window_s, hop_s=arguments.hop_s, rate_hz=arguments.rate_hz)
    sources = read_sources(arguments.data, arguments.split, windows)
    for notice in (notice for source in sources for notice in source.notices):
        say(notice)
    return sources


def _unit(source: Source) -> torch.Tensor:
    """Deviation of each channel in the training part."""
    return source.train.x.std((0, 2)).clamp_min(1e-6)


def _write(arguments: argparse.Namespace, figures: list[dict[str, Any]]) -> None:
    out = arguments.out or arguments.model / arguments.file
    write_json(out, {"schema": 1, "model": str(arguments.model), "figures": figures})
    say(f"figures: {out}")


if __name__ == "__main__":
    raise SystemExit(main())
