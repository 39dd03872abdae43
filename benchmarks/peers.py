"""MiniRocket + ridge on the same windows as benchmarks/codebook.py: the people of fold 0, everybody else trains.

    python benchmarks/peers.py ../shared/data          # writes results/peers.json; needs mmvq[bench]

The ridge's strength is the one that does best on a quarter of the training people, held out whole.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from additive import DATA, scores, windows
from aeon.transformations.collection.convolution_based import MiniRocket
from common import macro_f1, write_result
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mmvq_bridge.command import say

STRENGTHS = tuple(10.0**k for k in range(-1, 6))


def main() -> None:
    folder = Path(sys.argv[1])
    rows = {}
    with threadpool_limits(1):
        for name in DATA:
            rows[name] = minirocket(folder, name)
            say(f"{name}: {rows[name]}")
    write_result("peers", 0, {"test": "people of fold 0; everybody else trains", "minirocket_ridge": rows})


def minirocket(folder: Path, name: str) -> dict[str, Any]:
    start = time.perf_counter()
    source = folder / name
    config = replace(
        DATA[name], data=str(source / f"{name}.parquet"), split=str(source / "splits.json"), train_hop_s=DATA[name].hop
    )
    _, train, test = windows(config, "0", None)
    transform = MiniRocket(random_state=0, n_jobs=1)
    features = [transform.fit_transform(train.x.transpose(1, 2).numpy()), transform.transform(
        test.x.transpose(1, 2).numpy())]
    scaler = StandardScaler().fit(np.asarray(features[0], dtype=np.float32))
    x, unseen = (scaler.transform(np.asarray(part, dtype=np.float32)) for part in features)
    y = train.y.numpy()
    fit_rows, held = next(GroupShuffleSplit(1, test_size=0.25, random_state=0).split(x, y, train.subject))
    found = {
        strength: macro_f1(y[held], RidgeClassifier(strength).fit(x[fit_rows], y[fit_rows]).predict(x[held]))
        for strength in STRENGTHS
    }
    best = max(found, key=lambda strength: found[strength])
    guess = RidgeClassifier(best).fit(x, y).predict(unseen)
    return scores(test, guess) | {
        "strength": best, "windows": [len(train), len(test)], "seconds": time.perf_counter() - start
    }


if __name__ == "__main__":
    main()
