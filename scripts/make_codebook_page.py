"""Write docs/codebook.md, what shape codes are worth, from codebook, accuracy, vqshape, uea.json in benchmarks/results.

    python scripts/make_codebook_page.py
"""

import json
import textwrap
from pathlib import Path
from typing import Any

from telling import NAMES, short, signed

from mmvq_bridge.files import atomic

ROOT = Path(__file__).parent.parent
PAGE = """\
# Shape codes

Written by `scripts/make_codebook_page.py` from `benchmarks/results/codebook.json` ({date}, {machine}); `make
bench-codebook` makes both anew, and goes on where it stopped. People of fold 0, whom nothing was trained on.

- **macro-F1**: of an additive classifier on the frozen codes, offsets and scales, the signal alone; mean over seeds,
  each seed in brackets.
- **shape error**: 1 − ρ² between pieces and their codes' shapes, as a multiple of k-means' with as many centres.
- **perplexity**: over the same pieces, as a share of the number of codes. **twins**: codes that another code of the
  length draws too (cosine over .95).
- **stay**: share of moving pieces that keep their code under 10 mg of noise, a shift by one sample, a remount at 15°.
- **in set**: sub-action probability of the codebook's action decoder inside the true label's set, beside chance.

{tables}
## UEA, accuracy
Features in one linear layer: tokens (position by position) or histograms (how often each code). Ours: codes learnt on
the set's own training part, sizes and lengths chosen there by cross-validation (`uea.json`). VQShape
(`vqshape.json`): one net of {weights}, {steps} steps of {batch} on a CPU, on everything that trains on this page;
published are {published}.

| set | ours, tokens | ours, histogram | VQShape, tokens | VQShape, histogram |
|---|---|---|---|---|
{uea}
"""

HEAD = """\
| codebook | macro-F1 | shape error | perplexity | twins | stay: noise, shift, remount | in set |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Write the page."""
    results, accuracy, vqshape, uea = (
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in ("codebook", "accuracy", "vqshape", "uea")
    )
    tables = []
    for name, found in results["data"].items():
        rows = "\n".join(_row(row, figures) for row, figures in found["rows"].items())
        text = f"## {NAMES[name]}\n{_reader(found)}\n\n{HEAD}{rows}\n"
        peer = short(accuracy["data"][name]["rows"]["MiniRocket"]["macro_f1_per_fold"]["0"])
        text += f"\nMiniRocket + ridge on the same windows (`accuracy.json`, fold 0): {peer}.\n"
        if name in vqshape["sets"]:
            kinds = [short(vqshape["sets"][name][kind]["macro_f1"]) for kind in ("token", "histogram")]
            text += f"Plain VQShape (`vqshape.json`, see below): {kinds[0]} by tokens, {kinds[1]} by histograms.\n"
        tables.append(text + "\n" + _paired(found["real_text_less_paired_over_people_95"]))
    page = PAGE.format(
        date=results["date"][:10], machine=results["machine"], tables="\n".join(tables),
        weights=f"{vqshape['weights'] / 1e6:.1f} M weights", steps=vqshape["pretraining"]["max_steps"],
        batch=vqshape["pretraining"]["batch"], published=vqshape["published"],
        uea="\n".join(_uea(name, uea["sets"][name], vqshape["sets"][name]) for name in uea["sets"]),
    )
    with atomic(ROOT / "docs" / "codebook.md") as part:
        part.write_text(page, encoding="utf-8")


def _uea(name: str, ours: dict[str, Any], vqshape: dict[str, Any]) -> str:
    found = [short(who[kind]["accuracy"]) for who in (ours, vqshape) for kind in ("token", "histogram")]
    return f"| {name} | {' | '.join(found)} |"


def _reader(found: dict[str, Any]) -> str:
    c, reading = found["classifier"], found["reading"]
    hops = reading["hops_s"] or found["pieces"]["hops_s"]
    lengths = ", ".join(f"{length:g} s" for length in found["pieces"]["lengths_s"])
    return textwrap.fill(
        f"{len(_people(found))} people. Pieces of {lengths}, read every {', '.join(f'{hop:g}' for hop in hops)} s; the "
        f"classifier: networks of {c['width']}, {c['epochs']} epochs, {c['piece_dropout']:.0%} of the pieces left out "
        + ("of a step" if reading["by_batch"] else "of each window")
        + (", half of each embedding by the piece's scale in g." if reading["gain"] else "."), 120,
    )


def _people(found: dict[str, Any]) -> dict[str, float]:
    people: dict[str, float] = next(iter(found["rows"].values()))["per_subject"]
    return people


def _row(name: str, f: dict[str, Any]) -> str:
    seeds = " ".join(short(value) for value in f["macro_f1_per_seed"].values())
    if "shape_error_ratio" not in f:
        return f"| {name} | {short(f['macro_f1'])} ({seeds}) | – | – | – | – | – |"
    stay = " ".join(short(f[key], 2) for key in ("noise_10_mg", "shift_1_sample", "remount_15_deg"))
    inside = f"{short(f['in_set']['share'], 2)} ({short(f['in_set']['chance'], 2)})" if "in_set" in f else "–"
    return (
        f"| {name} | {short(f['macro_f1'])} ({seeds}) | {f['shape_error_ratio']:.3f} | "
        f"{short(f['perplexity_share'], 2)} | {100 * f['near_duplicates']:.1f} % | {stay} | {inside} |"
    )


def _paired(differences: dict[str, list[float]]) -> str:
    rows = "\n".join(
        f"| {name} | {signed(mean)} | {signed(low)} to {signed(high)} |"
        for name, (mean, low, high) in differences.items()
    )
    return f"| real text less | macro-F1, mean over people | 95 % interval over people |\n|---|---|---|\n{rows}\n"


if __name__ == "__main__":
    main()
