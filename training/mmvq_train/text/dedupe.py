"""From sub-actions in words to the action codebook: near-duplicates become one entry (SYSTEMS 2).

Activities share movements: five of them lift the hand to the mouth. Their sub-actions are clustered by meaning
(agglomerative, average linkage on the cosine of centred embeddings), each cluster is an entry named by its medoid, and
an activity owns the set A(y) of the entries that its sub-actions fell into. Only wrist-observable ones take part.

Some merges are passed over for the next best, as long as there is another: first of all one that would leave an
activity with fewer than three entries or with none of its own, as what tells activities apart must not go under because
their words are alike; then one of a rest with a movement, as encoders take "hand waits at the mouth" for "hand lifts to
the mouth". Where nothing binds, the result is that of plain average linkage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_train.text.bank import Bank
from mmvq_train.text.claims import claims_of
from mmvq_train.text.embed import Embeddings

# Entries an activity by default, within the range of earlier action codebooks (12 to 64, SYSTEMS 2): 45 for the 18
# activities of WISDM, between synonyms that stay apart and unlike phrases that are joined (docs/banks.md).
ENTRIES_PER_ACTIVITY: Final = 2.5
FEWEST_ENTRIES: Final = 12
MOST_ENTRIES: Final = 64
# Claims that a wrist at rest contradicts.
MOVING: Final = {"impact", "hard impact", "rhythm", "smoothness", "movement", "turning"}
# With fewer an activity's set A(y) says little more than the label does.
WANTED_PER_ACTIVITY: Final = 3


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
    merged: entries that stand for more than one sub-action; notes: where an activity keeps less than wanted, and why;
    closeness: mean centred cosine of the sub-actions to the entry they fell into, 1 where nothing differed.
    """

    entries: tuple[str, ...]
    embeddings: npt.NDArray[np.float32]
    membership: npt.NDArray[np.bool_]
    assignment: npt.NDArray[np.int64]
    merged: tuple[Merged, ...]
    notes: tuple[str, ...]
    closeness: float

    @property
    def shared(self) -> npt.NDArray[np.bool_]:
        """(M,): whether two or more activities own the entry."""
        return self.membership.sum(axis=0) > 1


def size_limits(activities: int) -> tuple[int, int]:
    """Fewest and most entries for so many activities: one each and 12 at least; 64, or one each if they are more."""
    return max(FEWEST_ENTRIES, activities), max(MOST_ENTRIES, activities)


def default_size(activities: int) -> int:
    """Entries for so many activities: 2.5 each, within the limits."""
    return int(np.clip(round(ENTRIES_PER_ACTIVITY * activities), *size_limits(activities)))


def checked_size(size: int | None, activities: int) -> int:
    """The size, or the default for None. BadInput where it is outside the limits."""
    if size is None:
        return default_size(activities)
    fewest, most = size_limits(activities)
    if not fewest <= size <= most:
        told = f"{size} entries asked for; give {fewest} to {most} for {activities} activities"
        raise BadInput(f"action codebook: {told}")
    return size


def build_action_codebook(bank: Bank, embeddings: Embeddings, size: int | None = None) -> ActionCodebook:
    """Cluster the bank's sub-actions into `size` entries (None: default_size); the same input gives the same output.

    Fewer come out when there are fewer distinct texts (a note says so). BadInput for a size outside its limits.
    """
    wanted = checked_size(size, len(bank.activities))
    seen = np.array([i for i, sub_action in enumerate(bank.sub_actions) if sub_action.wrist_observable])
    owners = np.array(bank.owners)
    rows = embeddings.of(bank.arms)
    texts = [bank.arms[i] for i in seen]
    gram = centred_gram(rows[seen])
    clusters = _clusters(texts, gram, owners[seen], wanted)

    entries, medoids, groups, close = [], [], [], []
    for cluster in dict.fromkeys(clusters.tolist()):
        members = np.flatnonzero(clusters == cluster)
        # The medoid: nearest to the others on average. A text that several activities use counts as often.
        medoid = members[gram[np.ix_(members, members)].sum(axis=1).argmax()]
        entries.append(texts[medoid])
        medoids.append(seen[medoid])
        groups.append(seen[members])
        close.append(gram[medoid, members])

    assignment = np.full(len(bank.sub_actions), -1, dtype=np.int64)
    membership = np.zeros((len(bank.activities), len(entries)), dtype=bool)
    for entry, group in enumerate(groups):
        assignment[group] = entry
        membership[owners[group], entry] = True
    merged = tuple(
        Merged(
            entry,
            tuple(dict.fromkeys(bank.arms[i] for i in group)),
            tuple(dict.fromkeys(bank.labels[owners[i]] for i in group)),
        )
        for entry, group in enumerate(groups)
        if len(group) > 1
    )
    distinct = [len({texts[i] for i in np.flatnonzero(owners[seen] == y)}) for y in range(len(bank.activities))]
    notes = _notes(bank.labels, membership, distinct)
    if len(entries) < wanted:
        notes = (f"{len(entries)} entries instead of {wanted}: the bank has no more distinct sub-actions", *notes)
    closeness = float(np.concatenate(close).mean())
    return ActionCodebook(tuple(entries), rows[np.array(medoids)], membership, assignment, merged, notes, closeness)


def centred_gram(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Cosine Gram matrix (n, n) of rows (n, D) less their mean.

    Phrases about arms all point one way; without that common part the differences remain.
    """
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    gram = np.clip(centred @ centred.T, -1.0, 1.0)
    return (gram + gram.T) / 2


def _clusters(
    texts: Sequence[str], gram: npt.NDArray[np.float64], owners: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    """A cluster number for each of the n texts; equal texts share one. gram (n, n); owners (n,): their activities."""
    number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    cluster = np.array([number[text] for text in texts], dtype=np.int64)
    members = np.eye(len(number))[cluster]  # texts × clusters
    alike = members.T @ gram @ members  # sums over the pairs of two clusters
    counts = members.sum(axis=0)
    owned = np.zeros((len(number), owners.max() + 1), dtype=bool)
    owned[cluster, owners] = True
    kinds = [{kind.name for kind in claims_of(text)} for text in number]
    # Columns: rests, moves. A phrase of both ("hand waits and lifts") may go with either.
    rests = np.array([("stillness" in k, bool(k & MOVING)) for k in kinds])
    rests[rests.all(axis=1)] = False
    for _ in range(len(number) - size):
        similarity = alike / np.outer(counts, counts)
        similarity[np.tri(len(counts), dtype=bool)] = -np.inf  # each pair once
        harms = _harms(owned)
        for barred in (harms | _contradicts(rests), harms, np.False_):
            allowed = np.where(barred, -np.inf, similarity)
            if np.isfinite(allowed).any():
                break
        keep, gone = np.unravel_index(allowed.argmax(), allowed.shape)
        for axis in (0, 1):
            alike = _joined(alike, int(keep), int(gone), axis)
        counts = _joined(counts, int(keep), int(gone))
        owned = _joined(owned, int(keep), int(gone))
        rests = _joined(rests, int(keep), int(gone))
        cluster[cluster == gone] = keep
        cluster[cluster > gone] -= 1
    return cluster


def _harms(owned: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(K, K): whether joining two clusters takes from an activity its last own one, or one of its last three.

    owned (K, C): which activities have a sub-action in which cluster.
    """
    held = owned.astype(np.float32)  # a matrix product of booleans is slow
    own = owned & (owned.sum(axis=1) == 1)[:, None]
    last_own = (own & (own.sum(axis=0) == 1)).any(axis=1)
    joint_owners = held.sum(axis=1)[:, None] + held.sum(axis=1)[None] - held @ held.T
    loses_own = (last_own[:, None] | last_own[None]) & (joint_owners > 1)
    few = (owned.sum(axis=0) <= WANTED_PER_ACTIVITY).astype(np.float32)
    return np.asarray(loses_own | ((held * few) @ held.T > 0))


def _contradicts(rests: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(K, K): whether one cluster (K, 2: rests, moves) rests where the other moves."""
    across = rests[:, :1] & rests[None, :, 1]
    return np.asarray(across | across.T)


def _joined(values: npt.NDArray[Any], keep: int, gone: int, axis: int = 0) -> npt.NDArray[Any]:
    """The values along an axis with those at `gone` added to (of booleans: or-ed into) those at `keep`."""
    rows = np.moveaxis(values.copy(), axis, 0)
    rows[keep] = rows[keep] + rows[gone]
    return np.moveaxis(np.delete(rows, gone, axis=0), 0, axis)


def _notes(labels: Sequence[str], membership: npt.NDArray[np.bool_], distinct: Sequence[int]) -> tuple[str, ...]:
    notes = []
    count, size = membership.shape
    if size < count + WANTED_PER_ACTIVITY - 1:
        least = count + WANTED_PER_ACTIVITY - 1
        notes.append(
            f"{size} entries cannot give each of {count} activities {WANTED_PER_ACTIVITY}, one of them its own: that "
            f"takes {least} at least, and more where meanings are far apart"
        )
    shared = membership.sum(axis=0) > 1
    for label, owned, phrases in zip(labels, membership, distinct, strict=True):
        if not (owned & ~shared).any():
            pairs = zip(labels, membership, strict=True)
            others = ", ".join(other for other, row in pairs if other != label and (row & owned).any())
            notes.append(f"{label}: no entry of its own; all its sub-actions were merged with those of {others}")
        if owned.sum() < WANTED_PER_ACTIVITY:
            why = (
                f"it has {phrases} different ones that a wrist can see"
                if phrases < WANTED_PER_ACTIVITY
                else f"its sub-actions are too alike to stay apart at {len(shared)} entries"
            )
            notes.append(f"{label}: {owned.sum()} of the {WANTED_PER_ACTIVITY} entries wanted; {why}")
    return tuple(notes)
