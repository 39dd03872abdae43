"""What shape codes are worth, and what text adds: accuracy, truth of shapes, stability, trade-off, every control.

    python benchmarks/codebook.py ../shared/data             # people of fold 0: writes results/codebook.json
    python benchmarks/codebook.py ../shared/data --inner     # fold 1, trained on folds 2-4: to choose by

For each data set k-means shapes, and text-guided codebooks with real, shuffled, random, one-hot and no text, three
seeds each. Of every one: the additive classifier on its frozen, signal-only tokens, paired over people; the truth, use
and likeness of its shapes; the agreement of its codes under noise, shift and remount. On WISDM the trade-off of shapes
and guidance, and the alternatives (joint codes, methods, targets, fusion, kinds of text). MiniRocket on the same
windows is in benchmarks/accuracy.py.

Every row is a file in results/codebook as soon as it is there, so an interrupted benchmark goes on and two processes
may work on a data set each (name it). Rows of other code must be deleted first; those of another classifier are told.
"""

import json
import math
import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from additive import (
    DATA,
    READING,
    USED,
    Reading,
    additive,
    kmeans_codebook,
    read_on,
    said,
    scores,
    windows,
)
from common import RESULTS, asked, commit, data_folder, paired_over_people, write_result
from torch import Tensor

from mmvq_bridge.command import say
from mmvq_train.codebook import CodebookStage, ShapeCodebook, controlled
from mmvq_train.codebook.losses import shape_error
from mmvq_train.codebook.quantiser import nearest, perplexity
from mmvq_train.config import Config
from mmvq_train.data import WindowSet
from mmvq_train.data.augment import rotation
from mmvq_train.evaluate import near_duplicates
from mmvq_train.fitting import fit
from mmvq_train.pipeline import text_targets
from mmvq_train.rundir import write_json
from mmvq_train.text import embeddings_for, resolve_bank

SEEDS = 3
CONTROLS = ("real", "shuffled", "random", "one-hot", "none")
# What is asked for about stability: 10 mg of noise, a shift of one sample, the watch put on again 15° turned.
NOISE_G, REMOUNT_DEG = 0.010, 15.0

GUIDED = {"bend": 2.0, "label": 2.0, "action": 1.0}  # text and labels pull ten times as hard, and z may give way
TRADE_OFF: dict[str, dict[str, Any]] = {
    **{f"guided, shapes' share {share:g}": GUIDED | {"shape": share, "floor": math.inf} for share in (1.0, 0.1, 0.01)},
    "guided from the start, shapes' share 0": GUIDED | {"shape": 0.0, "whole": 0.0, "alone": 0.0, "floor": math.inf},
    **{f"guided, shapes' share 0.01, floor {floor:g}": GUIDED | {"shape": 0.01, "floor": floor}
       for floor in (1.15, 1.05)},
}
ALTERNATIVES: dict[str, dict[str, Any]] = {
    "joint codes": {"joint": True},
    "64 codes": {"size": 64},
    "Method 1": {"method": "token"},
    "both methods": {"method": "both"},
    "balanced targets": {"target": "balanced"},
    "fusion": {"fusion": True},
    "fusion, its attention as target (KL)": {"fusion": True, "target": "attention"},
    "four kinds of text": {"texts": ("keywords", "sentence", "affirmative", "negative")},
}
# Rows of every data set, each with SEEDS seeds: how its codebook is trained (None: k-means).
ROWS: dict[str, dict[str, Any] | None] = {"k-means": None, **{f"{text} text": {"text": text} for text in CONTROLS}}
UNQUANTISED = "no codes: shapes as they are"  # on every data set, with the first seed
MORE = TRADE_OFF | ALTERNATIVES  # on WISDM, with the first seed


@dataclass(frozen=True)
class Bench:
    """One data set, split."""

    name: str
    config: Config
    reading: Reading
    labels: tuple[str, ...]
    train: WindowSet
    test: WindowSet
    yardstick: ShapeCodebook


def main() -> None:
    folder, inner = data_folder(), "--inner" in sys.argv
    torch.set_num_threads(1)
    part = Path("runs/codebook-inner") if inner else RESULTS / "codebook"
    for name in asked(DATA):
        bench = prepare(folder, name, inner)
        plan = [(row, how, seed) for seed in range(SEEDS) for row, how in ROWS.items()]
        plan += [(UNQUANTISED, None, 0)]
        if name == "wisdm_watch":
            plan += [(row, how, 0) for row, how in MORE.items()]
        for row, how, seed in plan:
            if make(bench, part / name, row, how, seed) and not inner:
                write(part)


def write(part: Path) -> None:
    """results/codebook.json of all rows that are there, so that it is true also of a benchmark that was stopped."""
    write_result("codebook", 0, {
        "test": "people of fold 0; everybody else trains",
        "data": {name: collected(part / name, DATA[name]) for name in DATA if (part / name).exists()},
    })


def prepare(folder: Path, name: str, inner: bool) -> Bench:
    source = folder / name
    config = replace(
        DATA[name], data=str(source / f"{name}.parquet"), split=str(source / "splits.json"), fold=1 if inner else 0
    )
    labels, train, test = windows(config, str(config.fold), "0" if inner else None)
    say(f"{name}: {len(train)} windows of {len(set(train.subject))} people, tested on {len(test)} of "
        f"{len(set(test.subject))}")
    reading = READING[name]
    yardstick = kmeans_codebook(config.layout, config.codebook.size, train, len(labels))
    return Bench(name, config, reading, labels, train, test, read_on(yardstick, reading.hops_s))


def make(bench: Bench, folder: Path, name: str, how: dict[str, Any] | None, seed: int) -> bool:
    """The row of one codebook, unless it is there; whether it was made."""
    path = folder / f"{seed}-{re.sub('[^a-z0-9.]+', '-', name.lower())}.json"
    if path.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    if name == UNQUANTISED:
        row = scores(bench.test, read(bench, bench.yardstick, seed, quantised=False))
    else:
        row = judged(bench, bench.yardstick, seed) if how is None else trained(bench, how, seed)
    classifier = {key: getattr(bench.config.student, key) for key in USED}
    write_json(path, {"row": name, "seed": seed, "commit": commit(), "classifier": classifier} | row)
    truth = f", shape error {row['shape_error_ratio']:.3f} times k-means'" if "shape_error_ratio" in row else ""
    say(f"{bench.name}, {name}, seed {seed}: macro-F1 {row['macro_f1']:.4f}{truth}")
    return True


def collected(folder: Path, config: Config) -> dict[str, Any]:
    """All rows of a data set that are there, and real text against the others, paired over people."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        row = json.loads(path.read_text())
        found.setdefault(row["row"], []).append(row)
    found = {name: found[name] for name in [*ROWS, UNQUANTISED, *MORE] if name in found}  # in the order of this file
    every = [row for rows in found.values() for row in rows]
    classifier = every[0]["classifier"]
    if any(row["classifier"] != classifier for row in every):
        raise SystemExit(f"{folder} holds rows of several classifiers: delete those of the older one")
    people = {name: {row["seed"]: row["per_subject"] for row in rows} for name, rows in found.items()}
    real = people.pop("real text", {})
    return {
        "classifier": classifier, "commits": sorted({row["commit"] for row in every}),
        "codebook": asdict(config.codebook), "pieces": asdict(config.pieces),
        "reading": asdict(READING[folder.name]),
        "rows": {name: summed(rows) for name, rows in found.items()},
        "real_text_less_paired_over_people_95": {
            name: paired_over_people(*zip(*((real[s], people[name][s]) for s in both), strict=True))
            for name in ROWS
            if (both := sorted(people.get(name, {}).keys() & real.keys()))
        },
    }


def trained(bench: Bench, how: dict[str, Any], seed: int) -> dict[str, Any]:
    """A codebook trained this way, and what it is worth."""
    config = replace(bench.config, seed=seed, codebook=replace(bench.config.codebook, **how))
    bank, _ = resolve_bank(None, bench.labels)
    _, targets = text_targets(config, bank, embeddings_for(bank)[0])
    seen = controlled(targets, config.codebook.text, seed)
    stage = CodebookStage(config, bench.train, len(bench.labels), seen)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as log:
        fit(stage, "codebook", Path(log), "cpu")
    seconds = time.perf_counter() - start
    book = read_on(stage.model.eval().requires_grad_(False), bench.reading.hops_s)
    row = judged(bench, book, seed) | {"codebook_seconds": seconds}
    if book.text is not None:
        row["in_set"] = in_set(book, bench.test, targets.membership)
    return row


def judged(bench: Bench, book: ShapeCodebook, seed: int) -> dict[str, Any]:
    """Accuracy of the additive classifier on its tokens, truth of its shapes, stability of its codes."""
    start = time.perf_counter()
    return scores(bench.test, read(bench, book, seed)) | geometry(bench, book) | stability(book, bench.test.x) | {
        "seconds": time.perf_counter() - start
    }


def read(bench: Bench, book: ShapeCodebook, seed: int, quantised: bool = True) -> npt.NDArray[np.int64]:
    """The test windows' labels as the additive classifier says them."""
    net = additive(book, bench.config.student, bench.reading, bench.train, len(bench.labels), seed, quantised)
    return said(net, book, bench.reading, bench.test.x).argmax(-1).numpy()


@torch.no_grad()
def geometry(bench: Bench, book: ShapeCodebook) -> dict[str, Any]:
    """Shape error against k-means with as many centres, perplexity over the same pieces, near-duplicates: by length
    and over all."""
    size = len(book.books()[0].codes)
    yardstick = bench.yardstick
    if (len(yardstick.books()[0].codes), yardstick.layout) != (size, book.layout):
        yardstick = kmeans_codebook(book.layout, size, bench.train, len(bench.labels))
    errors, used, twins = [], [], []
    for i, drawn in enumerate(book.code_shapes()):
        codes, shapes, loud = whole(book, bench.test.x, i)
        other, _, _ = whole(yardstick, bench.test.x, i)
        errors.append((shape_error(shapes, drawn[codes], loud),
                       shape_error(shapes, yardstick.code_shapes()[i][other], loud)))
        used.append(perplexity(codes[loud], size) / size)
        twins.append(near_duplicates(drawn))
    own, best = np.array(errors).T
    return {
        "shape_error": float(own.mean()), "shape_error_kmeans": float(best.mean()),
        "shape_error_ratio": float(own.mean() / best.mean()), "shape_error_ratio_by_length": (own / best).tolist(),
        "perplexity_share": float(np.mean(used)), "perplexity_share_by_length": used,
        "near_duplicates": float(np.mean(twins)),
    }


def whole(book: ShapeCodebook, x: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, shapes and which are loud, of every fourth window, one length."""
    parts = [book.encode(part) for part in x[::4].split(512)]
    codes = torch.cat([nearest(z[length], book.books()[length].codes) for _, z in parts])
    return codes, torch.cat([p[length].shape for p, _ in parts]), torch.cat([p[length].loud for p, _ in parts])


@torch.no_grad()
def stability(book: ShapeCodebook, x: Tensor) -> dict[str, float]:
    """The share of codes of loud pieces that stay when the signal changes a little."""
    x = x[::4]
    generator = torch.Generator().manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(len(x), 3, generator=generator), dim=-1)
    turn = rotation(axis, torch.full((len(x),), math.radians(REMOUNT_DEG)))
    changed = {
        "noise_10_mg": x + NOISE_G * torch.randn(x.shape, generator=generator),
        "shift_1_sample": torch.cat([x[:, 1:], x[:, -1:]], dim=1),
        "remount_15_deg": x @ turn,
    }

    def codes(signal: Tensor) -> list[Tensor]:
        _, z = book.encode(signal)
        return [nearest(values, own.codes) for values, own in zip(z, book.books(), strict=True)]

    loud = [p.loud for p in book.pieces(x)]
    before = codes(x)
    return {
        name: float(torch.cat([(a == b)[keep] for a, b, keep in zip(before, codes(signal), loud, strict=True)])
                    .double().mean())
        for name, signal in changed.items()
    }


@torch.no_grad()
def in_set(book: ShapeCodebook, test: WindowSet, membership: Tensor) -> dict[str, float]:
    """Sub-action probability inside the true label's set, as the bank has it; by chance an even spread."""
    p = [book.action_logits(*book.encode(part)).softmax(-1) for part in test.x[::4].split(256)]
    allowed = membership[test.y[::4]].float()
    return {"share": float((torch.cat(p) * allowed[:, None]).sum(-1).mean()), "chance": float(allowed.mean())}


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and each seed's accuracy; per person the mean over seeds."""
    out: dict[str, Any] = {
        key: float(np.mean([row[key] for row in rows]))
        for key, value in rows[0].items()
        if isinstance(value, float)
    }
    out["macro_f1_per_seed"] = {str(row["seed"]): row["macro_f1"] for row in rows}
    for key in [key for key in ("shape_error_ratio_by_length", "perplexity_share_by_length") if key in rows[0]]:
        out[key] = np.mean([row[key] for row in rows], axis=0).tolist()
    if "in_set" in rows[0]:
        out["in_set"] = {key: float(np.mean([row["in_set"][key] for row in rows])) for key in rows[0]["in_set"]}
    people = rows[0]["per_subject"]
    out["per_subject"] = {s: float(np.mean([row["per_subject"][s] for row in rows])) for s in people}
    return out


if __name__ == "__main__":
    main()
