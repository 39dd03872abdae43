"""Which form of student, and how it and its peers learn: recorded before any test person is looked at.

    python benchmarks/search.py ../shared/data [SET ...] [ROW ...]      # goes on if stopped

Writes results/search/<set>/ and results/search.json. Fold 1 tests, folds 2 to 4 train; people of fold 0 are nowhere. A
part is one view of pieces with lengths, codes and networks of its own, on k-means codes: what text does to codes is
measured in codebook.py. Parts learn apart, as in the product, so a form is a sum of parts (mean of their logits). What
forms weigh, and how long a call takes: latency.py.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from additive import DATA, Reading, additive, kmeans_codebook, said, together
from blackbox import Recipe, trained
from common import RESULTS, asked, commit, data_folder, slug, write_result
from distillation import dataset
from disturbed import FOREARM, disturbed
from folds import counts, f1
from torch import Tensor

from mmvq_bridge.command import say
from mmvq_bridge.files import atomic
from mmvq_train.config import Config, PiecesConfig
from mmvq_train.data import Dataset, WindowSet
from mmvq_train.fitting import in_batches
from mmvq_train.pieces import PieceView
from mmvq_train.rundir import write_json

FOLD: Final = 1
RUNS: Final = Path("runs/search")
EPOCHS: Final = 24
PLAIN: Final = "as recorded"
SAID: Final = "said.npz"
Lengths = dict[float, float]
Judge = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Part:
    """One view of pieces. lengths: which of LENGTHS; attributes: what offset and log-scale count; quantised: whether it
    reads codes, or shapes; anyhow: whether it learns from windows turned about the forearm and mirrored along it too;
    overlap: how many times as many training windows; student: what differs from USUAL."""

    view: PieceView = "axes"
    lengths: str = "usual"
    size: int = 32
    joint: bool = False
    magnitude: bool = False
    attributes: tuple[float, float] = (1.0, 1.0)
    quantised: bool = True
    anyhow: bool = False
    overlap: float = 1.0
    student: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """One of blackbox.NETS and how it learns; the rest as a part's."""

    net: str
    recipe: Recipe
    anyhow: bool = False
    overlap: float = 1.0

    def on(self, name: str) -> Recipe:
        """The recipe on a data set."""
        return replace(self.recipe, forearm=FOREARM[name] if self.anyhow else None)


USUAL: Final = {"width": 64, "embedding": 32, "epochs": EPOCHS, "mixed": 8, "noise_g": 0.0}
SMALL: Final = {"width": 48}
NOISE: Final = {"noise_g": 0.1}
LONGER: Final[dict[str, Any]] = {"anyhow": True, "overlap": 2.0, "student": SMALL | {"epochs": 2 * EPOCHS, "mixed": 12}}
PARTS: Final[dict[str, Part]] = {  # the first ones matter most, should time not be enough for all
    "axes": Part(),
    "gravity": Part("gravity"),
    "rhythm": Part("rhythm"),
    "axes, three lengths": Part(lengths="three"),
    "gravity, three lengths": Part("gravity", "three"),
    "rhythm, three lengths": Part("rhythm", "three"),
    "axes, three lengths, width 48": Part(lengths="three", student=SMALL),
    "gravity, three lengths, width 48": Part("gravity", "three", student=SMALL),
    "rhythm, three lengths, width 48": Part("rhythm", "three", student=SMALL),
    "axes, width 48": Part(student=SMALL),
    "gravity, width 48": Part("gravity", student=SMALL),
    # how it is worn: to gravity that is all the same
    "axes, width 48, worn anyhow": Part(anyhow=True, student=SMALL),
    "axes, three lengths, width 48, worn anyhow": Part(lengths="three", anyhow=True, student=SMALL),
    "rhythm, three lengths, width 48, worn anyhow": Part("rhythm", "three", anyhow=True, student=SMALL),
    # how noisy the sensor is
    "axes, three lengths, width 48, worn anyhow, noisy": Part(lengths="three", anyhow=True, student=SMALL | NOISE),
    "gravity, three lengths, width 48, noisy": Part("gravity", "three", student=SMALL | NOISE),
    "rhythm, three lengths, width 48, worn anyhow, noisy": Part("rhythm", "three", anyhow=True, student=SMALL | NOISE),
    "axes, width 48, worn anyhow, noisy": Part(anyhow=True, student=SMALL | NOISE),
    "gravity, width 48, noisy": Part("gravity", student=SMALL | NOISE),
    # four times as many steps, of windows that overlap more
    "axes, three lengths, longer": Part(lengths="three", **LONGER),
    "gravity, three lengths, longer": Part("gravity", "three", **LONGER),
    "rhythm, three lengths, longer": Part("rhythm", "three", **LONGER),
    "axes, longer": Part(**LONGER),
    "gravity, longer": Part("gravity", **LONGER),
    "axes, not mixed": Part(student={"mixed": 0}),
    # which pieces
    "axes, two lengths": Part(lengths="two"),
    "axes, fewer pieces": Part(lengths="fewer"),
    # how large
    "axes, embeddings of 8": Part(student={"embedding": 8}),
    "axes, embeddings of 64": Part(student={"embedding": 64}),
    "axes, width 128": Part(student={"width": 128}),
    "axes, 16 codes": Part(size=16),
    "axes, 64 codes": Part(size=64),
    # what of them
    "axes, joint codes": Part(joint=True, size=64),
    "axes and magnitude": Part(magnitude=True),
    "axes without offset": Part(attributes=(0.0, 1.0)),
    "axes without scale": Part(attributes=(1.0, 0.0)),
    "axes, shapes as they are": Part(quantised=False),
}
FORMS: Final[dict[str, tuple[str, ...]]] = {
    **{name: (name,) for name in PARTS},
    "axes and gravity": ("axes", "gravity"),
    "axes and rhythm": ("axes", "rhythm"),
    "gravity and rhythm": ("gravity", "rhythm"),
    "axes, gravity, rhythm": ("axes", "gravity", "rhythm"),
    **{
        f"axes and gravity, {what}": (f"axes, {what}", f"gravity, {what}")
        for what in ("width 48", "three lengths", "three lengths, width 48")
    },
    **{
        f"axes, gravity, rhythm, {what}": tuple(f"{view}, {what}" for view in ("axes", "gravity", "rhythm"))
        for what in ("three lengths", "three lengths, width 48")
    },
    "gravity and rhythm, three lengths": ("gravity, three lengths", "rhythm, three lengths"),
    "axes and gravity, width 48, worn anyhow": ("axes, width 48, worn anyhow", "gravity, width 48"),
    "axes, gravity, rhythm, three lengths, width 48, worn anyhow": (
        "axes, three lengths, width 48, worn anyhow", "gravity, three lengths, width 48",
        "rhythm, three lengths, width 48, worn anyhow",
    ),
    "axes and gravity, width 48, worn anyhow, noisy": (
        "axes, width 48, worn anyhow, noisy", "gravity, width 48, noisy",
    ),
    "axes, gravity, rhythm, three lengths, width 48, worn anyhow, noisy": (
        "axes, three lengths, width 48, worn anyhow, noisy", "gravity, three lengths, width 48, noisy",
        "rhythm, three lengths, width 48, worn anyhow, noisy",
    ),
    "axes and gravity, longer": ("axes, longer", "gravity, longer"),
    "axes, gravity, rhythm, three lengths, longer": (
        "axes, three lengths, longer", "gravity, three lengths, longer", "rhythm, three lengths, longer",
    ),
}
LENGTHS: Final[dict[str, dict[str, Lengths]]] = {  # hop of each length of pieces, in seconds
    "wisdm_watch": {
        "usual": {0.5: 0.5, 1.0: 1.0, 2.0: 1.0, 4.0: 1.0, 10.0: 1.0},
        "three": {0.5: 0.5, 2.0: 1.0, 10.0: 1.0},
        "two": {1.0: 0.5, 10.0: 1.0},
        "fewer": {0.5: 1.0, 1.0: 2.0, 2.0: 2.0, 4.0: 2.0, 10.0: 1.0},
    },
    "selfback_wrist": {
        "usual": {0.2: 0.1, 0.4: 0.1, 0.8: 0.2, 1.6: 0.2, 3.2: 0.4},
        "three": {0.4: 0.1, 1.6: 0.2, 5.0: 0.5},
        "two": {0.8: 0.2, 5.0: 0.5},
        "fewer": {0.2: 0.25, 0.4: 0.25, 0.8: 0.5, 1.6: 0.5, 3.2: 0.5},
    },
}
LEFT_OUT: Final = {"wisdm_watch": 0.3, "selfback_wrist": 0.6}  # of pieces, in training
NETS: Final[dict[str, Box]] = {
    "WRN16-1": Box("WRN16-1", Recipe(EPOCHS)),
    "WRN16-1, not mixed": Box("WRN16-1", Recipe(EPOCHS, mixed=False)),
    "WRN16-1, worn anyhow": Box("WRN16-1", Recipe(EPOCHS), anyhow=True),
    "WRN16-1, noisy": Box("WRN16-1", Recipe(EPOCHS, **NOISE)),
    "WRN16-1, longer": Box("WRN16-1", Recipe(EPOCHS), overlap=2.0),
    "WRN16-2": Box("WRN16-2", Recipe(EPOCHS)),
    "WRN16-2, not mixed": Box("WRN16-2", Recipe(EPOCHS, mixed=False)),
    "WRN16-2, noisy": Box("WRN16-2", Recipe(EPOCHS, **NOISE)),
    "WRN16-2, not mixed, noisy": Box("WRN16-2", Recipe(EPOCHS, mixed=False, **NOISE)),
    "TinierHAR": Box("TinierHAR", Recipe(EPOCHS, learning_rate=5e-3)),
    "TinierHAR, not mixed": Box("TinierHAR", Recipe(EPOCHS, mixed=False, learning_rate=5e-3)),
}


def main() -> None:
    folder, names, rows = data_folder(), asked(DATA, PARTS, NETS), asked([*PARTS, *NETS], DATA)
    torch.set_num_threads(1)
    for name in names:
        config = replace(
            DATA[name], data=str(folder / name / f"{name}.parquet"), split=str(folder / name / "splits.json"), fold=FOLD
        )
        data: Dataset | None = None
        for row in rows:
            path = RESULTS / "search" / name / f"{slug(row)}.json"
            if not there(path):
                data = data or dataset(config)
                made(path, name, row, config, data)
                write()


def there(path: Path) -> bool:
    """Whether a row was made, and what it said is still at hand to be added to others'."""
    return path.exists() and (RUNS / f"{path.parent.name}-{path.stem}" / SAID).exists()


def made(path: Path, name: str, row: str, config: Config, data: Dataset) -> None:
    """Train a part or a net and keep what it says of the test people's windows, as they are and disturbed."""
    overlap = (PARTS[row] if row in PARTS else NETS[row]).overlap
    if overlap != 1:
        data = dataset(replace(config, train_hop_s=config.train_hop / overlap))
    start, test, run = time.perf_counter(), data.test, RUNS / f"{name}-{path.stem}"
    everybody = together(data.train, data.calibrate)
    if row in PARTS:
        judge, weights = learnt(PARTS[row], name, config, everybody, len(data.labels))
    else:
        box = NETS[row]
        net = trained(box.net, everybody, len(data.labels), box.on(name), config.seed, run)
        judge, weights = lambda x: torch.cat(in_batches(net, x)), sum(p.numel() for p in net.parameters())
    others = {what: torch.from_numpy(np.stack(copies)) for what, copies in disturbed(test.x, FOREARM[name]).items()}
    found = {PLAIN: judge(test.x)} | {what: torch.stack([judge(x) for x in copies]) for what, copies in others.items()}
    with atomic(run / SAID) as kept:
        np.savez_compressed(kept, y=test.y.numpy(), **{what: logits.half().numpy() for what, logits in found.items()})
    write_json(path, {
        "row": row, "labels": len(data.labels), "weights": weights, "commit": commit(),
        "seconds": time.perf_counter() - start,
    })
    say(f"== {path}: {scored(name, [path.stem])}")


def learnt(part: Part, name: str, config: Config, seen: WindowSet, classes: int) -> tuple[Judge, int]:
    """A part on k-means codes, and how many weights it has."""
    config, reading = form([part], name, config), Reading(attributes=part.attributes)
    book = kmeans_codebook(config.layout, part.size, seen, classes)
    net = additive(book, config.student, reading, seen, classes, config.seed, part.quantised)
    return lambda x: said(net, book, reading, x), sum(one.numel() for one in net.parameters())


def form(parts: Sequence[Part], name: str, config: Config) -> Config:
    """The product's configuration of parts that differ in their views alone."""
    first = parts[0]
    lengths, epochs = LENGTHS[name][first.lengths], DATA[name].codebook.epochs
    forearm = FOREARM[name] if first.anyhow else None
    return replace(
        config, train_hop_s=DATA[name].train_hop / first.overlap,
        pieces=PiecesConfig(
            tuple(lengths), tuple(lengths.values()), first.magnitude, tuple(part.view for part in parts)
        ),
        codebook=replace(config.codebook, size=first.size, joint=first.joint, epochs=round(epochs / first.overlap)),
        student=replace(config.student, forearm=forearm, piece_dropout=LEFT_OUT[name], **USUAL | first.student),
    )


def scored(name: str, stems: Sequence[str]) -> dict[str, float]:
    """Macro-F1 of the sum of what several rows of one fold say, as they are and disturbed."""
    kept = [np.load(RUNS / f"{name}-{stem}" / SAID) for stem in stems]
    y, found = kept[0]["y"], {}
    for what in kept[0].files:
        if what != "y":
            total = sum(one[what].astype(np.float32) for one in kept)
            guess = total.argmax(-1).reshape(-1)
            found[what] = f1([counts(np.tile(y, len(guess) // len(y)), guess, total.shape[-1])])
    return found


def write() -> None:
    """results/search.json of all rows that are there, and of the forms whose parts are. What it has already stays,
    should what the parts said be gone."""
    path, every = RESULTS / "search.json", {**FORMS, **{net: (net,) for net in NETS}}
    told: dict[str, Any] = json.loads(path.read_text())["data"] if path.exists() else {}
    for folder in sorted(path for path in (RESULTS / "search").iterdir() if path.is_dir()):
        rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if there(path)]
        of = {row["row"]: row for row in rows}
        known = told.get(folder.name, {}) | {
            what: {
                "macro_f1": scored(folder.name, [slug(part) for part in parts]),
                "weights": sum(of[part]["weights"] for part in parts),
                "minutes": sum(of[part]["seconds"] for part in parts) / 60,
            }
            for what, parts in every.items() if all(part in of for part in parts)
        }
        told[folder.name] = {what: known[what] for what in every if what in known}
    about = {"test": "people of the fold by those of folds 2 to 4", "fold": FOLD, "plain": PLAIN}
    write_result("search", 0, about | {"data": told})


if __name__ == "__main__":
    main()
