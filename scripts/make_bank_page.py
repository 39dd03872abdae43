"""Write docs/banks.md, what the shipped text banks are worth, from benchmarks/results/bank.json.

    python scripts/make_bank_page.py
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from mmvq_bridge.files import atomic

ROOT = Path(__file__).parent.parent

PAGE = """\
# The shipped text banks

Written by `scripts/make_bank_page.py` from `benchmarks/results/bank.json` ({date}, {machine}); `make bench-bank` makes
both anew. Look at a bank with `mmvq-bank report NAME --out report.html`.

| bank | activities | sub-actions | distinct phrases | a wrist can see | warnings of `mmvq-bank check` |
|---|---|---|---|---|---|
{banks}

## Action codebooks
Entries by the size asked for: shared by two or more activities, or of one alone; the fewest that an activity keeps,
in all and of its own; closeness is the mean cosine of a phrase to its entry's name. Every activity shall keep three,
one of them its own. Where it cannot, the reason stands below.

| bank | size | entries | shared | of one activity | fewest of an activity | fewest own | closeness |
|---|---|---|---|---|---|---|---|
{codebooks}

{notes}

## Probe: what the phrases say of their label
Sub-actions, concatenated, through a small network to the embedding of the label's text; the activity asked about was
left out of training. Cosine of the output with the true text, less the mean of the others (0: no better than that
mean), and rank of the true label, chance in the heading. *Shuffled*: another activity's sub-actions. *Random*: a random
vector for each phrase, so that only sharing is left. p: share of {repeats} repeats of the control that reach the real
text's cosine (.05 is the least it can be). {verdict}

{probes}

## Claims against the signal
What a phrase's words claim (impact, rhythm, stillness, smoothness, movement, turning, posture) against recordings of
the activity, people of folds 1-4; rules in `training/mmvq_train/text/claims.py`. They were used to choose the wording:
that all claims hold now is how the banks were made, not a finding about new people. Who writes a bank can do the same
with `mmvq-bank check BANK --data RECORDINGS`.

{claims}
"""


def main() -> None:
    """Write the page."""
    results = json.loads((ROOT / "benchmarks" / "results" / "bank.json").read_text())
    banks: dict[str, Any] = results["banks"]
    overview = [
        f"| {name} | {b['activities']} | {b['sub_actions']} | {b['distinct_arm_phrases']} "
        f"| {b['observable_share']:.0%} | {b['warnings']} |"
        for name, b in banks.items()
    ]
    codebooks = [
        f"| {name} | {c['size']} | {c['entries']} | {c['shared']} | {c['own']} | {c['fewest']} | {c['fewest_own']} "
        f"| {c['closeness']:.2f} |"
        for name, b in banks.items() for c in b["codebooks"]
    ]
    notes = [
        f"- {name}, {c['size']}: {note}." for name, b in banks.items() for c in b["codebooks"] for note in c["notes"]
    ]
    text = PAGE.format(
        date=results["date"], machine=results["machine"], repeats=results["probe_repeats"],
        banks="\n".join(overview), codebooks="\n".join(codebooks), notes="\n".join(notes),
        verdict=verdict(banks),
        probes="\n\n".join(probe(name, b) for name, b in banks.items()),
        claims="\n\n".join(claims(name, b["claims"]) for name, b in banks.items() if b["claims"]),
    )
    with atomic(ROOT / "docs" / "banks.md") as part:
        part.write_text(text, encoding="utf-8")


def verdict(banks: dict[str, Any]) -> str:
    """What the probe says over all banks."""
    rows = [r for b in banks.values() for r in b["probe"]]

    def beaten(control: str) -> str:
        found = [r["p"] for r in rows if r["control"] == control]
        return f"{sum(p < 0.051 for p in found)} of {len(found)}"

    return (
        f"Real text has p = .05 against shuffled in {beaten('shuffled')} rows, against random vectors in "
        f"{beaten('random')}: most of what the probe finds is which phrases activities share, not what they mean."
    )


def probe(name: str, bank: dict[str, Any]) -> str:
    """One bank's table: a row for each input and width."""
    lines = [
        f"**{name}** (rank by chance {(bank['activities'] + 1) / 2:g})", "",
        "| input | hidden | real: cosine, rank | shuffled | p | random | p |", "|---|---|---|---|---|---|---|",
    ]
    for (source, hidden), rows in groupby(bank["probe"], key=lambda r: (r["input"], r["hidden"])):
        by = {r["control"]: r for r in rows}
        cells = [f"{by[c]['cosine']:.3f}, {by[c]['rank']:.1f}" for c in ("real", "shuffled", "random")]
        lines.append(
            f"| {source} | {hidden} | {cells[0]} | {cells[1]} | {by['shuffled']['p']:.2f} | {cells[2]} "
            f"| {by['random']['p']:.2f} |"
        )
    return "\n".join(lines)


def claims(name: str, found: dict[str, Any]) -> str:
    """One bank's claims, by activity and kind, and what was rewritten."""
    lines = [
        f"**{name}**, {found['people']} people: {found['hold']} of {found['claims']} claims hold; before rewriting "
        f"{found['before_rewriting']['hold']} of {found['before_rewriting']['claims']}. "
        f"{found['phrases_that_claim_nothing_measurable']} phrases claim nothing that is measured here.", "",
        "| activity | claim | measured | at least | phrases |", "|---|---|---|---|---|",
    ]
    ordered = sorted(found["table"], key=lambda r: (r["activity"], r["claims"]))
    for (activity, kind), group in groupby(ordered, key=lambda r: (r["activity"], r["claims"])):
        rows = list(group)
        mark = "" if rows[0]["holds"] else " **fails**"
        phrases = "; ".join(r["phrase"] for r in rows)
        lines.append(f"| {activity} | {kind} | {rows[0]['value']:.2f}{mark} | {rows[0]['least']:g} | {phrases} |")
    rules = sorted({f"{r['claims']}: {r['measured']}" for r in ordered})
    lines += ["", f"What is measured: {'; '.join(rules)}.", ""]
    lines += ["| activity | was | why | is |", "|---|---|---|---|"]
    for r in found["rewritten"]:
        why = [f"{f['claims']} {f['value']:.2f}, {f['least']:g} wanted" for f in r["failed"]]
        why += [f"a wrist cannot feel '{r['not_felt']}'"] if r["not_felt"] else []
        told = "; ".join(why) or "by reading, or by an earlier rule of the check"
        lines.append(f"| {r['activity']} | {r['was']} | {told} | {r['is']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
