"""The shipped text banks: what their phrases claim against real recordings, their action codebooks, and the probe.

    python benchmarks/bank.py ../shared/data

Claims are held against the people of folds 1-4, as the texts were chosen on them; fold 0 stays unopened. Of phrases
that were rewritten (bank_rewritten.json) the old wording is measured beside the new one.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from common import data_folder, write_result

from mmvq_bridge.command import say
from mmvq_bridge.recordings import RecordingFile, read_recordings
from mmvq_run.signal import load_folds
from mmvq_train.text import Bank, build_action_codebook, default_size, embeddings_for, load_bank, shipped_banks
from mmvq_train.text.check import UNFELT, check_bank, observable_share
from mmvq_train.text.claims import Verdict, check_claims
from mmvq_train.text.probe import HIDDEN
from mmvq_train.text.report import codebook_counts, entry_rows, probe_bank, sizes

DATA = {"wisdm": "wisdm_watch", "selfback": "selfback_wrist"}
REPEATS = 20  # of the probe and its controls
REWRITTEN = Path(__file__).parent / "bank_rewritten.json"


def training_people(folder: Path) -> RecordingFile:
    """The recordings of folds 1-4."""
    file = read_recordings(folder / f"{folder.name}.parquet")
    folds = load_folds(folder / "splits.json")
    kept = {subject for fold, people in folds.items() if fold != "0" for subject in people}
    return replace(file, recordings=tuple(r for r in file.recordings if r.subject in kept))


def claims(bank: Bank, file: RecordingFile) -> dict[str, Any]:
    """The claims of the bank as it is, and of the phrases that stood there before."""
    now = check_claims(bank, file)
    changes = json.loads(REWRITTEN.read_text())[bank.name]
    before = {label: {new: old for old, new in wording.items()} for label, wording in changes.items()}
    old_activities = (
        replace(a, sub_actions=tuple(
            replace(s, arm=before.get(a.label, {}).get(s.arm, s.arm)) for s in a.sub_actions
        ))
        for a in bank.activities
    )
    then = check_claims(replace(bank, activities=tuple(old_activities)), file)
    rewritten = [
        {
            "activity": label, "was": old, "is": new,
            "failed": [row(v) for v in then if (v.label, v.phrase) == (label, old) and not v.holds],
            "not_felt": found.group() if (found := UNFELT.search(old)) else None,
        }
        for label, wording in changes.items() for old, new in wording.items()
    ]
    return {
        "people": len({r.subject for r in file.recordings}),
        "claims": len(now), "hold": sum(v.holds for v in now),
        "phrases_that_claim_nothing_measurable": len(bank.sub_actions) - len({(v.label, v.number) for v in now}),
        "before_rewriting": {"claims": len(then), "hold": sum(v.holds for v in then)},
        "rewritten": rewritten,
        "table": [row(v) for v in now],
    }


def row(verdict: Verdict) -> dict[str, Any]:
    """One claim as JSON."""
    return {
        "activity": verdict.label, "phrase": verdict.phrase, "claims": verdict.kind.name,
        "measured": verdict.kind.measured, "value": verdict.value, "least": verdict.kind.least, "holds": verdict.holds,
    }


def codebooks(bank: Bank) -> list[dict[str, Any]]:
    """Counts by size, with the reasons where an activity lacks something."""
    embeddings = embeddings_for(bank)[0]
    out = []
    for size in sorted({*sizes(bank), default_size(len(bank.activities))}):
        book = build_action_codebook(bank, embeddings, size)
        own = book.membership & ~book.shared
        out.append(asdict(codebook_counts(size, book)) | {
            "by_activity": {
                label: {"own": int(own[i].sum()), "shared": int((book.membership[i] & book.shared).sum())}
                for i, label in enumerate(bank.labels)
            },
            "notes": list(book.notes),
        })
    return out


def probes(bank: Bank) -> list[dict[str, Any]]:
    """The probe before and after de-duplication, at every width, with its controls."""
    embeddings = embeddings_for(bank)[0]
    sets = {"every sub-action": embeddings.of(bank.arms)}
    for size in sizes(bank):
        book = build_action_codebook(bank, embeddings, size)
        if len(book.entries) == size:
            sets[f"{size} entries"] = entry_rows(book)
    out = []
    for name, rows in sets.items():
        for hidden in HIDDEN:
            say(f"probe of {bank.name}: {name}, {hidden} hidden ...")
            found = probe_bank(bank, rows, embeddings, hidden, REPEATS)
            out += [{"input": name} | asdict(result) for result in found]
    return out


def main() -> None:
    folder = data_folder()
    banks = {}
    for name in shipped_banks():
        bank = load_bank(name)
        assert bank.source is not None
        text = bank.source.read_text(encoding="utf-8")
        banks[name] = {
            "activities": len(bank.activities),
            "sub_actions": len(bank.sub_actions),
            "distinct_arm_phrases": len(set(bank.arms)),
            "observable_share": observable_share(bank),
            "warnings": len(check_bank(bank, text)),
            "encoder": embeddings_for(bank)[0].encoder,
            "codebooks": codebooks(bank),
            "claims": claims(bank, training_people(folder / DATA[name])) if name in DATA else None,
            "probe": probes(bank),
        }
    write_result("bank", 0, {"probe_repeats": REPEATS, "banks": banks})


if __name__ == "__main__":
    main()
