"""Plain VQShape on the wrist recordings and four UEA sets: token and histogram features in one linear layer.

    python benchmarks/vqshape.py ../shared/data      # writes results/vqshape.json; goes on if stopped

One model is pre-trained on the channels of all training parts together, as published; net and steps are what a CPU
bears (`net`, `pretraining`), not the published 256 wide and two epochs of batches of 2048. Wrist recordings are cut as
in benchmarks/codebook.py, people of fold 0 test. The layer's strength is chosen by cross-validation on the training
part, over people where they are known; the test part is looked at once.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import torch
from additive import DATA
from common import data_folder, write_result
from uea import SETS

from mmvq_bridge.command import say
from mmvq_train.config import Config
from mmvq_train.vqshape import PRESETS, Source, evaluate, pretrain, read_sources
from mmvq_train.vqshape.sources import all_series

NET: Final = replace(PRESETS["small"][0], width=128, codes=64)
RECIPE: Final = replace(PRESETS["small"][1], max_steps=4000, learning_rate=1e-3, final_rate=1e-4)
EVERY: Final = 8  # of the wrist windows, which overlap, is pre-trained on


def main() -> None:
    folder = data_folder()
    torch.set_num_threads(1)
    archive = read_sources([str(folder / "uea_motion" / f"{name}_TRAIN.ts.gz") for name in SETS], [], Config())
    wrist = [recordings(folder / name, config) for name, config in DATA.items()]
    thinned = [replace(s, train=replace(s.train, x=s.train.x[::EVERY])) for s in wrist]
    series = all_series([*archive, *thinned], NET.samples)
    say(f"VQShape: {RECIPE.max_steps} steps of {RECIPE.batch} of {len(series)} series")
    model = pretrain(NET, series, Path("runs/bench-vqshape"), RECIPE)
    rows = {}
    for source in [*archive, *wrist]:
        rows[source.name] = evaluate(model, source)
        say(f"{rows[source.name]}")
        write_result("vqshape", 0, {  # after each, so that it is true also of a benchmark that was stopped
            "net": asdict(NET), "weights": sum(p.numel() for p in model.parameters()), "pretraining": asdict(RECIPE),
            "series": len(series), "published": "9.5 M or 37 M weights, two epochs of batches of 2048", "sets": rows,
        })


def recordings(folder: Path, config: Config) -> Source:
    """The people of fold 0 for testing, everybody else for training."""
    files = [str(folder / f"{folder.name}.parquet")], [str(folder / "splits.json")]
    return read_sources(*files, config)[0]


if __name__ == "__main__":
    main()
