"""The packaged int8 model, through ONNX Runtime as the runtime loads it, on the people of WISDM's fold 0.

    python benchmarks/packaged.py ../shared/data/wisdm_watch [RUN]

RUN (runs/packaged): the run that it was exported from, for the float student beside it and for how faithful its
explanations are. Nobody of fold 0 took part in training or calibration; three of them are
the embedded test people, whose figures were seen during development (docs/lab-log.md).
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import data_folder, macro_f1, subject_interval, write_result

from mmvq_export.gates import additivity_error, honesty_error, run_file
from mmvq_run.model import Model
from mmvq_run.onnx_file import read_properties
from mmvq_run.signal import load_folds
from mmvq_train.config import Config
from mmvq_train.data import load_dataset
from mmvq_train.embedded import SPLITS
from mmvq_train.fitting import in_batches
from mmvq_train.rundir import load_run

MODEL = Path(__file__).parent.parent / "runtime" / "mmvq_run" / "packaged" / "student.onnx"


def main() -> None:
    folder, path = data_folder(), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/packaged")
    config = replace(Config(), data=str(folder / "wisdm_watch.parquet"), split=str(folder / "splits.json"))
    data = load_dataset(config)
    run = load_run(path)
    metrics = json.loads((path / "metrics.json").read_text())
    meta = Model(MODEL).metadata
    assert tuple(meta.labels) == data.labels == run.labels

    x, y, subject = data.test.x.numpy(), data.test.y.numpy(), data.test.subject
    found = run_file(MODEL.read_bytes(), x)
    guess = found["probabilities"].argmax(1)
    float_guess = torch.cat([out.logits for out in in_batches(run.student, data.test.x)]).argmax(-1).numpy()

    logits = found["contributions"].astype(np.float64).sum(1) + np.asarray(run.student.bias.detach().double())
    other = ~np.isin(subject, load_folds(SPLITS)["0"])
    confidence = found["probabilities"].max(1)
    write_result("packaged", run.config.seed, {
        "claim": "packaged model, WISDM watch fold 0, 10 s windows, hop 5 s, 18 activities, unseen people",
        "file_bytes": MODEL.stat().st_size,
        "windows": len(y),
        "people": len(set(subject.tolist())),
        "macro_f1_int8": macro_f1(y, guess),
        "macro_f1_int8_interval_95_over_people": subject_interval(y, guess, subject, 0),
        "macro_f1_int8_of_people_not_embedded": macro_f1(y[other], guess[other]),
        "macro_f1_float": macro_f1(y, float_guess),
        "points_lost_by_int8": 100 * (macro_f1(y, float_guess) - macro_f1(y, guess)),
        "label_agreement_int8_float": float((guess == float_guess).mean()),
        "balanced_accuracy_int8": float(np.mean([(guess[y == c] == c).mean() for c in np.unique(y)])),
        "per_subject": {s: macro_f1(y[subject == s], guess[subject == s]) for s in sorted(set(subject.tolist()))},
        "per_activity_f1": {
            label: 2 * float(((guess == c) & (y == c)).sum()) / max(1, int((guess == c).sum() + (y == c).sum()))
            for c, label in enumerate(data.labels)
        },
        "mean_confidence": float(confidence.mean()),
        "accuracy": float((guess == y).mean()),
        "unknown_share_on_fold_0": float((found["unknown_score"] > float(run.student.threshold)).mean()),
        "additivity_error": additivity_error(logits, found["probabilities"], float(run.student.temperature)),
        "honesty_error": honesty_error(MODEL.read_bytes(), x, 1, meta.rate_hz),
        "parity_on_held_out_training_people": json.loads(read_properties(MODEL.read_bytes())["mmvq"][0])["parity"],
        "of_the_float_student": {key: metrics[key] for key in ("explanation", "codebook", "teachers", "ablations")},
        "confusion": [[int(((y == a) & (guess == b)).sum()) for b in range(len(data.labels))]
                      for a in range(len(data.labels))],
        "labels": list(data.labels),
    })


if __name__ == "__main__":
    main()
