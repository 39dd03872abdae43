"""Write the packaged model's card from the model file and what benchmarks/results has of it and of its recipe.

    python scripts/make_model_card.py
"""

import json
from pathlib import Path

from mmvq_bridge.files import atomic
from mmvq_run.onnx_file import read_properties

ROOT = Path(__file__).parent.parent
RECIPE_OF = "wisdm_watch"
PACKAGED = ROOT / "runtime" / "mmvq_run" / "packaged"

CARD = """\
# Model card: the packaged student

{name}, {bytes:.0f} kB, {quantization}. Trained by `make packaged-model`; figures from
`benchmarks/results/packaged.json` ({date}, {machine}).

**What it does.** {window_s:g} s of wrist acceleration at {rate_hz:g} Hz (other rates are resampled) to one of
{count} activities, with the pieces of the signal that the label was computed from.

**Trained on** {data_name}, folds 1-4, watch on the dominant wrist.
{citation}.
Licence: {licence}.

**Measured on** the {people} people of fold 0, of whom nothing was used in training or calibration; {windows} windows of
10 s, hop 5 s, int8 in ONNX Runtime. Three of them (1600, 1605, 1610) are the embedded test people, whose figures were
seen during development and whose windows helped to choose the int8 variant (`docs/lab-log.md`):

| figure | |
|---|---|
| macro-F1 | {macro_f1_int8:.3f} (95 % interval over people {low:.3f} to {high:.3f}) |
| the seven people who are not embedded | {macro_f1_int8_of_people_not_embedded:.3f} |
| the same in float | {macro_f1_float:.3f} |
| accuracy, mean confidence | {accuracy:.3f}, {mean_confidence:.3f} |
| windows called unknown | {unknown_share_on_fold_0:.1%} |

| activity | F1 | most often taken for |
|---|---|---|
{activities}

| person | macro-F1 |
|---|---|
{persons}

**Known failures.** The eating activities (soup, chips, pasta, sandwich) and drinking are taken for one another, as the
wrist moves alike. People differ: see the rows above. It has seen one kind of watch (±2 g, so hard movement clips), worn
on the dominant wrist, in recordings of one activity at a time. Of a watch that slid round the forearm or sits on the
other arm it knows what turned and mirrored windows told it (`docs/benchmarks.md`); free living is untested. Models of
the same recipe lose {lost_to_noise:.2f} of macro-F1 when the sensor has noise of .1 g. Movement that is none of the
{count} activities mostly gets one of their labels still: of activities left out of training such models call
{told_unknown:.0%} unknown. Not for medical or safety use.
"""


def main() -> None:
    """Write the card."""
    figures, accuracy, robustness = (
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in ("packaged", "accuracy", "robustness")
    )
    meta = json.loads(read_properties((PACKAGED / "student.onnx").read_bytes())["mmvq"][0])
    labels = figures["labels"]
    activities = []
    for label, f1 in sorted(figures["per_activity_f1"].items(), key=lambda item: -item[1]):
        row = list(figures["confusion"][labels.index(label)])
        row[labels.index(label)] = -1
        other = max(range(len(row)), key=row.__getitem__)
        activities.append(f"| {label} | {f1:.2f} | {labels[other] if row[other] > 0 else '–'} |")
    low, high = figures["macro_f1_int8_interval_95_over_people"]
    text = CARD.format(
        **{k: v for k, v in figures.items() if k != "labels"},
        name=meta["name"],
        bytes=figures["file_bytes"] / 1000,
        quantization=meta["quantization"],
        window_s=meta["window"] / meta["rate_hz"],
        rate_hz=meta["rate_hz"],
        count=len(labels),
        data_name=meta["data"][0]["name"],
        citation=meta["data"][0]["citation"],
        licence=meta["data"][0]["licence"],
        low=low,
        high=high,
        lost_to_noise=accuracy["data"][RECIPE_OF]["rows"]["mmvq"]["lost_when"]["noise of .1 g"],
        told_unknown=robustness["data"][RECIPE_OF]["flagged_of_unknown"],
        activities="\n".join(activities),
        persons="\n".join(f"| {s} | {f1:.3f} |" for s, f1 in sorted(figures["per_subject"].items())),
    )
    with atomic(PACKAGED / "MODEL_CARD.md") as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
