"""Write docs/distillation.md, what teachers are worth to the student, from benchmarks/results/distillation.json.

    python scripts/make_distillation_page.py
"""

import json
from pathlib import Path
from typing import Any

from telling import NAMES, short, signed

from mmvq_bridge.files import atomic

ROOT = Path(__file__).parent.parent
CHOSEN = "average of signal, Gramian and self, unlabelled halves"
WANTED = 0.02  # over the student from scratch

PAGE = """\
# What teachers are worth

Written by `scripts/make_distillation_page.py` from `benchmarks/results/distillation.json` ({date}, {machine}); `make
bench-distillation` makes both anew, and goes on where it stopped. People of fold 0, whose labels nothing was trained
on; of every row the student, its codebook, its copies of windows and its epochs are the same.

- **macro-F1**: mean over seeds, each seed in brackets; all test windows of all people together.
- **gained**: over the same student from scratch, macro-F1 of each person, mean over people; in brackets its 95 %
  interval over people (10,000 bootstrap draws). Seeds are averaged first.
- **second halves**: of every person's time with every label the second half alone, and what was gained there.
  **Unlabelled halves** are the first halves of the same people's recordings, which teachers judged and the student
  followed; no one saw a label. So these rows say what unlabelled recordings of the wearer are worth.
- **noise**: macro-F1 under Gaussian noise of .1 g, on 300 of the windows. **named wins**: share of windows in which
  flattening the pieces named as reasons costs more than flattening random ones.
- **time**: of the student's training, mean over seeds; teachers are trained once a seed and shared. Both data sets were
  worked on at once, some rows beside other work: times tell the order, no more.

{tables}
Similarity maps of student and teachers, the workspace's coefficients over the epochs, confusion matrices and accuracy
under disturbances of any run are in its `report.html`, which `mmvq-train` writes.
"""

HEAD = """\
| learnt from | macro-F1 | gained | second halves | gained | noise | named wins | time |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Write the page."""
    results = json.loads((ROOT / "benchmarks" / "results" / "distillation.json").read_text())
    page = PAGE.format(
        date=results["date"][:10], machine=results["machine"],
        tables="\n".join(_table(NAMES[name], found) for name, found in results["data"].items()),
    )
    with atomic(ROOT / "docs" / "distillation.md") as part:
        part.write_text(page, encoding="utf-8")


def _table(name: str, found: dict[str, Any]) -> str:
    people = len(found["rows"]["from scratch"]["all"]["per_subject"])
    teachers = ", ".join(
        f"{teacher} {short(one['macro_f1'])}" + (f" ({one['minutes']:.0f} min)" if "minutes" in one else "")
        for teacher, one in found["teachers"].items()
    )
    rows = "\n".join(_row(row, figures) for row, figures in found["rows"].items())
    so_far = "" if found["made"] == found["wanted"] else f" **So far {found['made']} of {found['wanted']} runs.**"
    about = f"{people} people.{so_far} Teachers alone, mean over seeds: {teachers}."
    return f"## {name}\n{about}\n\n{HEAD}{rows}\n\n{_claim(found['rows'][CHOSEN])}\n\n{_parts(found['rows'])}"


def _claim(chosen: dict[str, Any]) -> str:
    """Whether the ways chosen by inner splits did what was hoped for."""
    gained = chosen["second_halves"]["gained_95_over_people"]
    told = "; ".join(f"over {other} {_interval(gained[other])}" for other in ("from scratch", "KD"))
    mean, low, _ = gained["from scratch"]
    met = mean >= WANTED and low > 0 and gained["KD"][0] > 0
    return (
        f"Chosen by inner splits: *{CHOSEN}*. Second halves, {told}. Two points over from scratch, with an interval "
        f"above zero, were wanted: {'met' if met else '**not met**'}."
    )


def _parts(rows: dict[str, Any]) -> str:
    """What the workspace is with a part of it changed, beside the whole, on all windows."""
    changed = [name for name in rows if name.startswith("workspace") and name != "workspace"]
    gained = {name: rows[name]["all"]["gained_95_over_people"].get("workspace") for name in changed}
    lines = [f"| {name.removeprefix('workspace').strip(', ')} | {_interval(g)} |" for name, g in gained.items() if g]
    return "".join(f"{line}\n" for line in ("| workspace | over the workspace as it is |", "|---|---|", *lines))


def _interval(found: list[float]) -> str:
    mean, low, high = found
    return f"{signed(mean)} ({signed(low)} to {signed(high)})"


def _row(name: str, f: dict[str, Any]) -> str:
    told = " | ".join(_scores(name, f[part]) if part in f else "– | –" for part in ("all", "second_halves"))
    return (
        f"| {name} | {told} | {short(f['under_noise'])} | {100 * f['deletion_named_wins']:.0f} % | "
        f"{f['student_seconds'] / 60:.1f} min |"
    )


def _scores(name: str, found: dict[str, Any]) -> str:
    seeds = " ".join(short(value) for value in found["macro_f1_per_seed"].values())
    said = f"{short(found['macro_f1'])} ({seeds})"
    if name == "from scratch":
        return f"{said} | –"
    return f"{said} | {_interval(found['gained_95_over_people']['from scratch'])}"


if __name__ == "__main__":
    main()
