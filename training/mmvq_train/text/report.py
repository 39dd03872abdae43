"""A text bank to look at: one page with every phrase, how alike they are, what de-duplication made of them, the probe.

Pictures are drawn for each encoder; the action codebook and the probe are those of the first, which training uses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mmvq_train.drawings import scatter, similarity, texture
from mmvq_train.pages import write_page
from mmvq_train.text.bank import Bank
from mmvq_train.text.check import observable_share
from mmvq_train.text.dedupe import ActionCodebook, build_action_codebook, centred_gram, checked_size, size_limits
from mmvq_train.text.embed import Embeddings
from mmvq_train.text.flatten import flatten
from mmvq_train.text.probe import HIDDEN, REPEATS, ProbeResult, probe

SIZES: Final = (12, 24, 48, 64)  # of the action codebook, where the number of activities allows them
FEWEST_POINTS: Final = 5  # of a map: fewer phrases have no neighbourhoods
FEWEST_PROBED: Final = 3  # activities: with one left out, two others have a mean and a difference
Rows = npt.NDArray[np.float32]


def write_bank_report(
    bank: Bank, embeddings: Sequence[Embeddings], out: Path | str, size: int | None, say: Callable[[str], None]
) -> None:
    """Write the page. size: of the action codebook shown whole, by default the one that training takes.

    Raises BadInput for a size outside its limits, or without umap-learn.
    """
    size = checked_size(size, len(bank.activities))
    first = embeddings[0]
    whole = build_action_codebook(bank, first, size)
    books = {n: build_action_codebook(bank, first, n) for n in sorted({*sizes(bank), size})}
    pictures = []
    for encoded in embeddings:
        say(f"pictures: {encoded.encoder} ...")
        pictures.append(_pictures(bank, encoded))
    probes = []
    inputs = (("every sub-action", first.of(bank.arms)), (f"{size} entries", entry_rows(whole)))
    for name, rows in inputs if len(bank.activities) >= FEWEST_PROBED else ():
        results = []
        for hidden in HIDDEN:
            say(f"probe: {name}, {hidden} hidden ...")
            results += probe_bank(bank, rows, first, hidden)
        probes.append((name, results))
    labels = bank.labels
    write_page(
        out,
        "bank.html.j2",
        bank=bank,
        size=size,
        encoder=first.encoder,
        observable=observable_share(bank),
        activities=[_activity(bank, whole, i) for i in range(len(labels))],
        entries=[_entry(bank, whole, i) for i in range(len(whole.entries))],
        entry_gram=similarity(
            centred_gram(whole.embeddings), whole.entries, f"How alike the {len(whole.entries)} entries are"
        ),
        books=[codebook_counts(n, book) for n, book in books.items()],
        notes=[(n, note) for n, book in books.items() for note in book.notes],
        pictures=pictures,
        probes=probes,
        chance=(len(labels) + 1) / 2,
    )


def sizes(bank: Bank) -> list[int]:
    """The sizes of action codebook to compare for this many activities."""
    fewest, most = size_limits(len(bank.activities))
    return [n for n in SIZES if fewest <= n <= most]


def entry_rows(book: ActionCodebook) -> Rows:
    """(S, D): instead of each sub-action its entry; what the wrist cannot see is nothing."""
    rows = book.embeddings[book.assignment]
    return np.where(book.assignment[:, None] >= 0, rows, 0).astype(np.float32)


def probe_bank(
    bank: Bank, rows: Rows, embeddings: Embeddings, hidden: int, repeats: int = REPEATS
) -> list[ProbeResult]:
    """The probe and its controls, on rows (S, D) that stand for the bank's sub-actions."""
    owners = np.array(bank.owners)
    sets = [rows[owners == i] for i in range(len(bank.activities))]
    labels = embeddings.of([activity.text for activity in bank.activities])
    return probe(sets, labels, hidden, repeats=repeats)


@dataclass(frozen=True)
class Counts:
    """What an action codebook of that size has."""

    size: int
    entries: int
    shared: int
    own: int
    fewest: int  # entries of the activity that has least
    fewest_own: int
    closeness: float


def codebook_counts(size: int, book: ActionCodebook) -> Counts:
    """Count it."""
    own = book.membership & ~book.shared
    return Counts(
        size, len(book.entries), int(book.shared.sum()), int((~book.shared).sum()),
        int(book.membership.sum(axis=1).min()), int(own.sum(axis=1).min()), book.closeness,
    )


def _activity(bank: Bank, book: ActionCodebook, index: int) -> dict[str, Any]:
    activity = bank.activities[index]
    first = bank.owners.index(index)
    phrases = []
    for i, sub_action in enumerate(activity.sub_actions):
        entry = int(book.assignment[first + i])
        phrases.append({
            "arm": sub_action.arm,
            "leg": sub_action.leg,
            "seen": sub_action.wrist_observable,
            "own": entry >= 0 and not book.shared[entry],
            "entry": book.entries[entry] if entry >= 0 and book.entries[entry] != sub_action.arm else "",
        })
    owned = book.membership[index]
    return {
        "activity": activity,
        "phrases": phrases,
        "own": int((owned & ~book.shared).sum()),
        "shared": int((owned & book.shared).sum()),
    }


def _entry(bank: Bank, book: ActionCodebook, index: int) -> dict[str, Any]:
    texts = next((merged.texts for merged in book.merged if merged.entry == index), ())
    return {
        "name": book.entries[index],
        "owners": [label for label, own in zip(bank.labels, book.membership[:, index], strict=True) if own],
        "merged": [text for text in texts if text != book.entries[index]],
    }


def _pictures(bank: Bank, encoded: Embeddings) -> dict[str, Any]:
    """One encoder's Gram matrices and maps."""
    groups = [(activity.label, len(activity.sub_actions)) for activity in bank.activities]
    maps = []
    for part in ("arm", "leg", "both"):
        phrases = [getattr(sub_action, part) for sub_action in bank.sub_actions]
        maps.append((part, _maps(bank, phrases, encoded)))
    return {
        "encoder": encoded.encoder,
        "width": encoded.rows.shape[1],
        "sentences": similarity(
            centred_gram(encoded.of(bank.sentences)), bank.labels, "How alike the activities' sentences are",
            [f"{a.label} ({s})" for a, s in zip(bank.activities, bank.sentences, strict=True)],
        ),
        "phrases": texture(centred_gram(encoded.of(bank.arms)), groups, "How alike all sub-actions are"),
        "maps": maps,
    }


def _maps(bank: Bank, phrases: Sequence[str], encoded: Embeddings) -> list[tuple[str, Markup]]:
    """(method, picture): each distinct phrase a point, hollow where several activities have it."""
    owners: dict[str, set[int]] = {}
    for phrase, owner in zip(phrases, bank.owners, strict=True):
        if phrase:
            owners.setdefault(phrase, set()).add(owner)
    if len(owners) < FEWEST_POINTS:
        return []
    group = [min(own) if len(own) == 1 else -1 for own in owners.values()]
    titles = [f"{phrase} ({', '.join(bank.labels[i] for i in sorted(own))})" for phrase, own in owners.items()]
    return [
        (method, scatter(points, group, titles, bank.labels, f"{method} of {len(owners)} phrases"))
        for method, points in flatten(encoded.of(list(owners))).items()
    ]
