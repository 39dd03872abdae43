"""Four UEA sets of accelerometers: token and histogram features of our shape codes in one linear layer.

    python benchmarks/uea.py ../shared/data/uea_motion       # writes results/uea.json

Shapes are learnt alone (no labels, no text), once a set. Everything that is chosen (the layer's strength, how many
codes and which lengths of pieces) is chosen by cross-validation on the training part; the test part is looked at once.
There are no subjects in these files, and people of the test part may be in training (Epilepsy's are not). VQShape on
the same sets: benchmarks/vqshape.py.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from common import data_folder, write_result
from torch import Tensor

from mmvq_bridge.command import say
from mmvq_train.codebook import CodebookStage, ShapeCodebook
from mmvq_train.codebook.model import attribute_inputs
from mmvq_train.codebook.quantiser import nearest
from mmvq_train.config import CodebookConfig, Config
from mmvq_train.data import WindowSet
from mmvq_train.fitting import fit
from mmvq_train.pieces import Layout
from mmvq_train.vqshape import Source, linear_probe, read_sources
from mmvq_train.vqshape.evaluate import KINDS, scores
from mmvq_train.vqshape.probe import cross_validated, standardised

SETS: Final = ("Epilepsy", "BasicMotions", "RacketSports", "UWaveGestureLibrary")
# Pieces as shares of the series; hops are half of each.
SHARES: Final = {"short": (0.1, 0.2, 0.4), "all": (0.1, 0.2, 0.5, 1.0), "long": (0.25, 0.5, 1.0)}
SIZES: Final = (16, 32, 64)
STEPS: Final = 1000  # of our codebook's training: half a minute
LEAST: Final = 4  # samples in a piece


class Ours(NamedTuple):
    """Features of one configuration."""

    token: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
    histogram: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def main() -> None:
    folder = data_folder()
    torch.set_num_threads(1)
    sources = read_sources([str(folder / f"{name}_TRAIN.ts.gz") for name in SETS], [], Config())
    rows: dict[str, Any] = {}
    for source in sources:
        y = source.train.y
        about = {"train": len(y), "test": len(source.test.y), "channels": source.train.x.shape[1]}
        rows[source.name] = about | ours(source)
        say(f"{source.name}: {rows[source.name]}")
    mean = {kind: float(np.mean([row[kind]["accuracy"] for row in rows.values()])) for kind in KINDS}
    say(f"mean accuracy: {mean}")
    tried = {"steps": STEPS, "codes": SIZES, "lengths_as_shares": SHARES}
    write_result("uea", 0, {"tried": tried, "sets": rows, "mean_accuracy": mean})


def ours(source: Source) -> dict[str, Any]:
    """Of all configurations the one with the best cross-validated macro-F1, for each kind of features."""
    found = {(size, name): features(source, size, SHARES[name]) for size in SIZES for name in SHARES}
    out = {}
    for kind in KINDS:
        seen = {key: getattr(both, kind)[0] for key, both in found.items()}
        chosen = {key: cross_validated(standardised(x, x), source.train.y)[1] for key, x in seen.items()}
        best = max(chosen, key=lambda key, chosen=chosen: chosen[key])
        guess = linear_probe(seen[best], source.train.y, getattr(found[best], kind)[1])
        out[kind] = scores(source.test.y, guess) | {"codes": best[0], "lengths": best[1]}
    return out


def features(source: Source, size: int, shares: tuple[float, ...]) -> Ours:
    """Learn shapes on the training part; features of both parts."""
    samples, channels = source.train.x.shape[2], source.train.x.shape[1]
    lengths = tuple(sorted({max(LEAST, round(share * samples)) for share in shares}))
    layout = Layout(1.0, samples, tuple(map(float, lengths)), tuple(n / 2 for n in lengths), channels, False, channels)
    data = WindowSet(
        source.train.x.transpose(1, 2).contiguous(), torch.from_numpy(source.train.y), np.full(len(source.train.y), "")
    )
    batch = min(64, len(data))
    recipe = CodebookConfig(
        size=size, batch=batch, epochs=-(-STEPS // (len(data) // batch)), text="none", alone=1.0, learning_rate=2e-3
    )
    stage = CodebookStage(replace(Config(), codebook=recipe), data, len(source.labels), None, layout)
    with tempfile.TemporaryDirectory() as log:
        fit(stage, "codebook", Path(log), "cpu")
    book = stage.model.eval().requires_grad_(False)
    parts = [_both(book, part.x.transpose(1, 2).contiguous()) for part in (source.train, source.test)]
    return Ours((parts[0][0], parts[1][0]), (parts[0][1], parts[1][1]))


def _both(book: ShapeCodebook, x: Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Token features [z_q, offset, log-scale] of all pieces in a row; how often each code occurs, by length and
    channel."""
    pieces, z = book.encode(x)
    tokens, counts = [], []
    for values, own, p in zip(z, book.books(), pieces, strict=True):
        codes = nearest(values, own.codes)
        tokens.append(torch.cat([own.codes[codes], attribute_inputs(p)], dim=-1).flatten(1))
        counts.append(torch.nn.functional.one_hot(codes, len(own.codes)).sum(1).flatten(1).float())
    return torch.cat(tokens, dim=1).numpy(), torch.cat(counts, dim=1).numpy()


if __name__ == "__main__":
    main()
