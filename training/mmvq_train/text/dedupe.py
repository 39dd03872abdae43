"""From sub-actions in words to the action codebook: near-duplicates become one entry (SYSTEMS 2).

Activities share movements: five of them lift the hand to the mouth. Their sub-actions are clustered by meaning
(average linkage on the cosine of centred embeddings), each cluster is an entry named by its medoid, and an activity
owns the set A(y) of the entries that its sub-actions fell into. Only wrist-observable sub-actions take part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.cluster import AgglomerativeClustering

from mmvq_bridge.command import BadInput
from mmvq_train.text.bank import Bank
from mmvq_train.text.embed import Embeddings

# Entries an activity by default, within the range of earlier action codebooks (12 to 64, SYSTEMS 2). At 2.5 the 18
# WISDM activities have 45 entries and none lacks one of its own; at 40 entries two do, at 36 three. (Their phrases
# were worded with 45 in view.)
ENTRIES_PER_ACTIVITY: Final = 2.5
FEWEST_ENTRIES: Final = 12
MOST_ENTRIES: Final = 64
# With fewer an activity's set A(y) says little more than the label does.
WANTED_PER_ACTIVITY: Final = 3
CLOSE: Final = 1e-9  # least distance of different texts, so that equal texts always meet first


@dataclass(frozen=True)
class Merged:
    """An entry that stands for several sub-actions: their distinct texts and the labels they came from."""

    entry: int
    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ActionCodebook:
    """M entries in order of first appearance in the bank.

    entries: M texts; embeddings: float32 (M, D), those of the entries' texts, of length 1; membership: bool (C, M),
    row y is A(y); assignment: int64 (S,), the entry of each sub-action, -1 where the wrist cannot see it;
    merged: entries that stand for more than one sub-action; notes: where an activity keeps less than wanted, and why.
    """

    entries: tuple[str, ...]
    embeddings: npt.NDArray[np.float32]
    membership: npt.NDArray[np.bool_]
    assignment: npt.NDArray[np.int64]
    merged: tuple[Merged, ...]
    notes: tuple[str, ...]

    @property
    def shared(self) -> npt.NDArray[np.bool_]:
        """(M,): whether two or more activities own the entry."""
        return self.membership.sum(axis=0) > 1


def default_size(activities: int) -> int:
    """Entries for so many activities: 2.5 each, 12 to 64 in all."""
    return int(np.clip(round(ENTRIES_PER_ACTIVITY * activities), FEWEST_ENTRIES, MOST_ENTRIES))


def build_action_codebook(bank: Bank, embeddings: Embeddings, size: int | None = None) -> ActionCodebook:
    """Cluster the bank's sub-actions into `size` entries (None: default_size); the same input gives the same output.

    Fewer come out when there are fewer distinct texts (a note says so). BadInput for a size under 1.
    """
    wanted = default_size(len(bank.activities)) if size is None else size
    if wanted < 1:
        raise BadInput(f"action codebook: {wanted} entries asked for; give at least 1")
    seen = np.array([i for i, sub_action in enumerate(bank.sub_actions) if sub_action.wrist_observable])
    texts = [bank.sub_actions[i].arm for i in seen]
    gram = centred_gram(embeddings.sub_actions[seen])
    clusters = _clusters(texts, gram, wanted)

    entries, medoids, groups = [], [], []
    for cluster in dict.fromkeys(clusters.tolist()):
        rows = np.flatnonzero(clusters == cluster)
        # The medoid: nearest to the others on average. A text that several activities use counts as often.
        medoid = rows[gram[np.ix_(rows, rows)].sum(axis=1).argmax()]
        entries.append(texts[medoid])
        medoids.append(seen[medoid])
        groups.append(seen[rows])

    owners = np.array(bank.owners)
    assignment = np.full(len(bank.sub_actions), -1, dtype=np.int64)
    membership = np.zeros((len(bank.activities), len(entries)), dtype=bool)
    for entry, group in enumerate(groups):
        assignment[group] = entry
        membership[owners[group], entry] = True
    merged = tuple(
        Merged(
            entry,
            tuple(dict.fromkeys(bank.sub_actions[i].arm for i in group)),
            tuple(dict.fromkeys(bank.labels[owners[i]] for i in group)),
        )
        for entry, group in enumerate(groups)
        if len(group) > 1
    )
    notes = _notes(bank.labels, membership)
    if len(entries) < wanted:
        notes = (f"{len(entries)} entries instead of {wanted}: the bank has no more distinct sub-actions", *notes)
    rows_of_entries = embeddings.sub_actions[np.array(medoids)]
    return ActionCodebook(tuple(entries), rows_of_entries, membership, assignment, merged, notes)


def centred_gram(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Cosine Gram matrix (n, n) of rows (n, D) less their mean.

    Phrases about arms all point one way; without that common part the differences remain.
    """
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    gram = np.clip(centred @ centred.T, -1.0, 1.0)
    return (gram + gram.T) / 2


def _clusters(texts: Sequence[str], gram: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.int64]:
    """A cluster number for each text; equal texts share one."""
    number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    distinct = np.array([number[text] for text in texts], dtype=np.int64)
    if size >= len(number):
        return distinct
    distance = np.maximum(1.0 - gram, CLOSE)
    distance[distinct[:, None] == distinct[None, :]] = 0.0
    linkage = AgglomerativeClustering(n_clusters=size, metric="precomputed", linkage="average")
    return linkage.fit_predict(distance).astype(np.int64)


def _notes(labels: Sequence[str], membership: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    notes = []
    shared = membership.sum(axis=0) > 1
    for label, owned in zip(labels, membership, strict=True):
        if not (owned & ~shared).any():
            pairs = zip(labels, membership, strict=True)
            others = ", ".join(other for other, row in pairs if other != label and (row & owned).any())
            notes.append(f"{label}: no entry of its own; all its sub-actions were merged with those of {others}")
        if owned.sum() < WANTED_PER_ACTIVITY:
            notes.append(
                f"{label}: {owned.sum()} of the {WANTED_PER_ACTIVITY} entries wanted; its sub-actions are too alike "
                f"to stay apart at {len(shared)} entries"
            )
    return tuple(notes)
