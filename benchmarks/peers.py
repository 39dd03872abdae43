"""MiniRocket + ridge on the same windows as benchmarks/codebook.py: the people of fold 0, everybody else trains.

    python benchmarks/peers.py ../shared/data          # writes results/peers.json; needs mmvq[bench]

On the windows as they are, and with the turned copies that the additive classifier learns from as well. The ridge's
strength is the one that does best on a quarter of the training people, held out whole.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from additive import DATA, scores, turned, windows
from aeon.transformations.collection.convolution_based import MiniRocket
from common import macro_f1, write_result
from scipy.linalg import solve
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mmvq_bridge.command import say

STRENGTHS = tuple(10.0**k for k in range(6))
ROWS = {"minirocket_ridge": 1, "minirocket_ridge_turned": 4}  # and how many copies of the training windows
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def main() -> None:
    folder = Path(sys.argv[1])
    rows: dict[str, dict[str, Any]] = {row: {} for row in ROWS}
    with threadpool_limits(1):
        for name in DATA:
            for row, copies in ROWS.items():
                rows[row][name] = minirocket(folder, name, copies)
                say(f"{name}, {row}: {rows[row][name]}")
    write_result("peers", 0, {"test": "people of fold 0; everybody else trains"} | rows)


def minirocket(folder: Path, name: str, copies: int) -> dict[str, Any]:
    start = time.perf_counter()
    source = folder / name
    config = replace(
        DATA[name], data=str(source / f"{name}.parquet"), split=str(source / "splits.json"), train_hop_s=DATA[name].hop
    )
    labels, train, test = windows(config, "0", None)
    transform = MiniRocket(random_state=0, n_jobs=1)
    transform.fit(_rows(train.x))
    seen = [train.x, *(turned(train.x, seed) for seed in range(1, copies))]
    *features, unseen = (np.asarray(transform.transform(_rows(x)), dtype=np.float32) for x in [*seen, test.x])
    scaler = StandardScaler().fit(features[0])
    *features, unseen = (scaler.transform(part) for part in [*features, unseen])
    y = train.y.numpy()
    fitted, held = next(GroupShuffleSplit(1, test_size=0.25, random_state=0).split(y, y, train.subject))
    best, judge = chosen_ridge(features, y, fitted, held, len(labels))
    return scores(test, judge(unseen).argmax(1)) | {
        "strength": best, "windows": [copies * len(train), len(test)], "seconds": time.perf_counter() - start
    }


def _rows(x: torch.Tensor) -> Floats:
    return x.transpose(1, 2).numpy()


def chosen_ridge(
    copies: list[Floats], y: Labels, fitted: Labels, held: Labels, classes: int
) -> tuple[float, Callable[[Floats], Floats]]:
    """The strength that does best on rows `held` of the first copy when rows `fitted` of all copies train; and what all
    rows then train."""
    tried = ridge([part[fitted] for part in copies], y[fitted], classes, STRENGTHS)
    found = {strength: macro_f1(y[held], judge(copies[0][held]).argmax(1)) for strength, judge in tried.items()}
    best = max(found, key=lambda strength: found[strength])
    return best, ridge(copies, y, classes, (best,))[best]


def ridge(
    copies: list[Floats], y: Labels, classes: int, strengths: tuple[float, ...]
) -> dict[float, Callable[[Floats], Floats]]:
    """What sklearn's RidgeClassifier, trained on all copies, says of features, (N, classes), for several strengths: the
    product of the features with themselves, the dear part, is made once; of rows, where those are fewer."""
    targets = 2 * np.eye(classes, dtype=np.float32)[y] - 1
    shift, middle = targets.mean(0), np.mean([x.mean(0, dtype=np.float64) for x in copies], axis=0).astype(np.float32)
    tall = len(copies) * len(y) > len(middle)
    if tall:
        # of centred features: sum of (x - m)(x - m)' = sum of xx' - n mm'
        gram = -len(copies) * len(y) * np.outer(middle, middle).astype(np.float64)
        product = np.zeros((len(gram), classes))
        for x in copies:
            gram += x.T @ x
            product += x.T @ (targets - shift)
    else:
        centred = np.concatenate(copies) - middle
        gram, product = (centred @ centred.T).astype(np.float64), np.tile(targets - shift, (len(copies), 1))

    def fitted(strength: float) -> Callable[[Floats], Floats]:
        stiffened = gram.copy(order="F")
        stiffened.flat[:: len(gram) + 1] += strength
        weights = solve(stiffened, product, overwrite_a=True, assume_a="pos")
        weights = (weights if tall else centred.T @ weights).astype(np.float32)
        return lambda x: (x - middle) @ weights + shift

    return {strength: fitted(strength) for strength in strengths}


if __name__ == "__main__":
    main()
