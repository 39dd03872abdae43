"""The action codebook: which sub-actions become one entry, and what every activity keeps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering

from mmvq_bridge.command import BadInput
from mmvq_train.text import (
    ActionCodebook,
    Bank,
    Embeddings,
    auto_bank,
    build_action_codebook,
    default_size,
    embed_bank,
    embeddings_for,
    load_bank,
    load_embeddings,
)
from mmvq_train.text import dedupe as module
from mmvq_train.text.bank import parse_bank
from mmvq_train.text.claims import claims_of


def read(root: dict[str, Any]) -> Bank:
    return parse_bank(json.dumps(root).encode(), Path("nowhere.json"))


def shipped(name: str, size: int | None = None) -> ActionCodebook:
    bank = load_bank(name)
    return build_action_codebook(bank, embeddings_for(bank)[0], size)


def given(bank: Bank, rows: np.ndarray) -> Embeddings:
    """Embeddings in which the bank's distinct arm phrases have these rows."""
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Embeddings(tuple(dict.fromkeys(bank.arms)), unit, "given", "")


def own(codebook: ActionCodebook) -> np.ndarray:
    """(C,): how many entries an activity shares with no other."""
    return codebook.membership[:, ~codebook.shared].sum(axis=1)


def nothing(clusters: np.ndarray) -> np.ndarray:
    """(K, K): no pair."""
    return np.zeros((len(clusters), len(clusters)), dtype=bool)


def mixed(codebook: ActionCodebook) -> list[tuple[str, ...]]:
    """The texts of entries that stand for a rest as well as for a movement."""
    found = []
    for merged in codebook.merged:
        kinds = [{kind.name for kind in claims_of(text)} for text in merged.texts]
        rests = any("stillness" in k and not k & module.MOVING for k in kinds)
        if rests and any(k & module.MOVING and "stillness" not in k for k in kinds):
            found.append(merged.texts)
    return found


# Size -----------------------------------------------------------------------------------------------------------


def test_the_default_size_follows_the_number_of_activities_between_12_and_64() -> None:
    assert [default_size(n) for n in (1, 4, 6, 18, 30)] == [12, 12, 15, 45, 64]


def test_with_more_than_64_activities_each_still_may_have_an_entry() -> None:
    assert [default_size(n) for n in (64, 65, 100)] == [64, 65, 100]


@pytest.mark.parametrize(
    ("activities", "size", "limits"),
    [
        (3, 11, "12 to 64 for 3 activities"),
        (3, 65, "12 to 64 for 3 activities"),
        (3, 0, "12 to 64 for 3 activities"),
        (3, -1, "12 to 64 for 3 activities"),
        (18, 17, "18 to 64 for 18 activities"),
        (70, 69, "70 to 70 for 70 activities"),
        (70, 71, "70 to 70 for 70 activities"),
    ],
)
def test_a_size_outside_its_limits_is_bad_input(activities: int, size: int, limits: str) -> None:
    bank = auto_bank([f"label {i}" for i in range(activities)])
    with pytest.raises(BadInput, match=f"^action codebook: {size} entries asked for; give {limits}$"):
        build_action_codebook(bank, embed_bank(bank, "hashed-ngrams"), size)


@pytest.mark.parametrize(("activities", "sizes"), [(3, (12, 15)), (18, (18, 64))])
def test_sizes_at_the_limits_are_made(activities: int, sizes: tuple[int, int]) -> None:
    bank = auto_bank([f"label {i}" for i in range(activities)])
    embeddings = embed_bank(bank, "hashed-ngrams")
    assert [len(build_action_codebook(bank, embeddings, size).entries) for size in sizes] == list(sizes)


def test_more_entries_than_distinct_texts_are_not_made_and_that_is_noted(small: tuple[Bank, Path]) -> None:
    bank, path = small
    codebook = build_action_codebook(bank, load_embeddings(bank, path), size=20)
    assert len(codebook.entries) == 13
    assert codebook.notes == ("13 entries instead of 20: the bank has no more distinct sub-actions",)
    assert codebook.closeness == pytest.approx(1)  # each sub-action is an entry itself


# Entries --------------------------------------------------------------------------------------------------------


def test_the_eating_activities_share_the_hand_that_lifts_to_the_mouth(wisdm: Bank) -> None:
    codebook = shipped("wisdm")
    owners = codebook.membership[:, codebook.entries.index("hand lifts to the mouth")]
    eating = {label for label, owner in zip(wisdm.labels, owners, strict=True) if owner}
    assert {"soup", "chips", "pasta", "sandwich", "drinking"} <= eating
    assert not eating & {"walking", "typing", "folding"}


def test_entries_membership_and_assignment_say_the_same(wisdm: Bank) -> None:
    codebook = shipped("wisdm", 30)
    expected = np.zeros_like(codebook.membership)
    expected[list(wisdm.owners), codebook.assignment] = True
    np.testing.assert_array_equal(codebook.membership, expected)
    embeddings, _ = embeddings_for(wisdm)
    for entry, text in enumerate(codebook.entries):
        first = wisdm.arms.index(text)
        assert codebook.assignment[first] == entry  # the medoid is a member of what it names
        np.testing.assert_array_equal(codebook.embeddings[entry], embeddings.of([text])[0])
    seen = codebook.assignment[np.sort(np.unique(codebook.assignment, return_index=True)[1])]
    assert seen.tolist() == list(range(30))  # in order of first appearance


def test_the_same_bank_gives_the_same_codebook(wisdm: Bank) -> None:
    for size in (24, None):
        one, two = shipped("wisdm", size), shipped("wisdm", size)
        assert (one.entries, one.merged, one.closeness) == (two.entries, two.merged, two.closeness)
        np.testing.assert_array_equal(one.assignment, two.assignment)


def test_equal_texts_share_an_entry_and_alike_ones_merge_into_their_medoid(root: dict[str, Any]) -> None:
    root["activities"]["typing"]["sub_actions"].append({"arm": "press", "leg": "", "wrist_observable": True})
    bank = read(root)  # 16 sub-actions of 14 texts, `lift` and `lower` twice
    rows = np.eye(14) + 0.01
    rows[2:5] = rows[2] + np.array([[0.0], [0.1], [-0.1]]) * np.eye(14)[13]  # dip, stir and tip mean nearly the same
    codebook = build_action_codebook(bank, given(bank, rows), size=12)
    assert codebook.assignment[0] == codebook.assignment[5]
    assert len(set(codebook.assignment[2:5])) == 1
    assert codebook.entries[codebook.assignment[2]] == "dip"  # it lies in the middle
    assert {merged.texts: merged.labels for merged in codebook.merged} == {
        ("lift",): ("soup", "chips"),
        ("lower",): ("soup", "chips"),
        ("dip", "stir", "tip"): ("soup",),
    }


def test_a_movement_that_the_wrist_cannot_see_is_in_no_entry(root: dict[str, Any]) -> None:
    root["activities"]["typing"]["sub_actions"][1]["wrist_observable"] = False
    bank = read(root)
    codebook = build_action_codebook(bank, embed_bank(bank, "hashed-ngrams"), size=12)
    assert codebook.assignment[11] == -1
    assert (np.delete(codebook.assignment, 11) >= 0).all()
    assert "rest" not in codebook.entries


def test_the_fewer_entries_the_farther_are_sub_actions_from_theirs() -> None:
    closeness = [shipped("wisdm", size).closeness for size in (24, 36, 48, 64)]
    assert sorted(set(closeness)) == closeness
    assert 0 < closeness[0] < closeness[-1] < 1


# What every activity keeps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [24, 45, 48, 64])
def test_every_wisdm_activity_keeps_three_entries_and_one_of_its_own(size: int) -> None:
    codebook = shipped("wisdm", size)
    assert len(codebook.entries) == len(set(codebook.entries)) == size
    assert (codebook.membership.sum(axis=1) >= 3).all()
    assert (own(codebook) >= 1).all()
    assert codebook.shared.sum() >= min(10, size - 18)
    assert codebook.notes == ()


@pytest.mark.parametrize("name", ["basicmotions", "epilepsy", "geneactiv", "pamap2", "selfback"])
def test_the_other_shipped_banks_keep_the_same_by_default_and_at_24(name: str) -> None:
    for size in (None, 24):
        codebook = shipped(name, size)
        assert (codebook.membership.sum(axis=1) >= 3).all()
        assert (own(codebook) >= 1).all()
        assert codebook.notes == ()


def test_without_the_constraint_wisdm_activities_would_lose_their_own_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_harms", nothing)
    codebook = shipped("wisdm", 24)
    assert (own(codebook) == 0).any()
    lost = [note for note in codebook.notes if ": no entry of its own; " in note]
    assert len(lost) == (own(codebook) == 0).sum()


def test_where_no_constraint_binds_the_clusters_are_those_of_average_linkage(
    wisdm: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_contradicts", nothing)  # the other binds at no merge down to 64
    gram = module.centred_gram(embeddings_for(wisdm)[0].of(wisdm.arms))
    texts = np.array(wisdm.arms)
    distance = np.where(texts[:, None] == texts, 0.0, np.maximum(1 - gram, 1e-9))
    linkage = AgglomerativeClustering(n_clusters=64, metric="precomputed", linkage="average")
    theirs, ours = linkage.fit_predict(distance), shipped("wisdm", 64).assignment
    assert len(set(theirs)) == len(set(ours)) == len(set(zip(theirs, ours, strict=True))) == 64


def name_arms(root: dict[str, Any], *arms: str) -> None:
    for activity, phrases in zip(root["activities"].values(), arms, strict=True):
        for sub_action, arm in zip(activity["sub_actions"], phrases.split(), strict=True):
            sub_action["arm"] = arm


def test_a_merge_that_takes_one_of_the_last_three_entries_makes_way_for_the_next_best(root: dict[str, Any]) -> None:
    name_arms(root, "a b c d e", "f g h i j", "k l m n o")
    for sub_action in root["activities"]["soup"]["sub_actions"][3:]:
        sub_action["wrist_observable"] = False  # soup has a, b and c, and may lose none
    bank = read(root)
    rows = np.eye(15)
    rows[1] = rows[0] + 0.01 * rows[1]  # a and b are nearest
    rows[6] = rows[5] + 0.5 * rows[6]  # then f and g
    codebook = build_action_codebook(bank, given(bank, rows), size=12)
    assert [merged.texts for merged in codebook.merged] == [("f", "g")]
    assert codebook.membership[0].sum() == 3


def test_a_merge_harms_where_an_activity_would_lose_its_own_entry_or_one_of_its_last_three() -> None:
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(100):
        owned = rng.random((int(rng.integers(2, 8)), int(rng.integers(1, 5)))) < rng.choice([0.2, 0.5, 0.8])
        owned[~owned.any(axis=1), 0] = True  # every cluster has an owner
        found = module._harms(owned)
        for i, j in zip(*np.triu_indices(len(owned), 1), strict=True):
            joined = np.vstack([np.delete(owned, [i, j], axis=0), owned[i] | owned[j]])
            before, after = owned[owned.sum(axis=1) == 1].any(axis=0), joined[joined.sum(axis=1) == 1].any(axis=0)
            fewer = joined.sum(axis=0) < np.minimum(owned.sum(axis=0), 3)
            expected = (before & ~after).any() or fewer.any()
            assert found[i, j] == found[j, i] == expected
            answers.append(expected)
    assert 0.2 < np.mean(answers) < 0.8  # both answers were asked for


@pytest.mark.parametrize("size", [24, 45, 64])
def test_no_wisdm_entry_stands_for_a_rest_and_a_movement(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mixed(shipped("wisdm", size)) == []
    monkeypatch.setattr(module, "_contradicts", nothing)
    assert mixed(shipped("wisdm", size)) != []


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ("rests", "lifts", True),  # of something that is not said to move, nothing is known
        ("rests", "swings", False),
        ("swings", "rests", False),
        ("rests", "waits", True),
        ("swings", "stirs", True),
        ("rests-and-swings", "swings", True),  # a phrase of both goes with either
        ("rests-and-swings", "rests", True),
    ],
)
def test_a_rest_and_a_movement_stay_apart_however_near_they_are(
    first: str, second: str, merged: bool, root: dict[str, Any]
) -> None:
    name_arms(root, f"{first} {second} c d e", "f g h i j", "k l m n o")
    bank = read(root)
    rows = np.eye(15)
    rows[1] = rows[0] + 0.01 * rows[1]  # nearest
    rows[6] = rows[5] + 0.5 * rows[6]  # then f and g
    codebook = build_action_codebook(bank, given(bank, rows), size=14)
    assert [found.texts for found in codebook.merged] == [(first, second) if merged else ("f", "g")]


def test_what_an_activity_keeps_comes_before_keeping_rests_and_movements_apart() -> None:
    # Four activities of three entries, one of them its own: only "rests" and "swings" can be joined without harm.
    phrases = [("own1", "rests", "s"), ("own2", "rests", "s"), ("own3", "swings", "s"), ("own4", "swings", "s")]
    texts = [text for activity in phrases for text in activity]
    owners = np.repeat(np.arange(4), 3)
    alike = {("own1", "own3"): 0.9, ("rests", "own2"): 0.5}
    gram = np.array([[1.0 if a == b else alike.get((a, b), alike.get((b, a), 0.1)) for b in texts] for a in texts])

    def joined(size: int) -> list[set[str]]:
        clusters = module._clusters(texts, gram, owners, size)
        groups = [{text for text, c in zip(texts, clusters, strict=True) if c == cluster} for cluster in range(size)]
        return [group for group in groups if len(group) > 1]

    assert joined(6) == [{"rests", "swings"}]
    assert joined(5) == [{"own1", "own3"}, {"rests", "swings"}]  # then there is no other


# What cannot be kept --------------------------------------------------------------------------------------------


def test_as_many_entries_as_activities_or_one_more_cannot_be_enough_and_the_notes_say_why() -> None:
    for name, count, size in (("wisdm", 18, 18), ("wisdm", 18, 19), ("geneactiv", 14, 14)):
        codebook = shipped(name, size)
        assert len(codebook.entries) == size
        assert codebook.notes[0] == (
            f"{size} entries cannot give each of {count} activities 3, one of them its own: that takes {count + 2} at "
            "least, and more where meanings are far apart"
        )
        assert (own(codebook) == 0).any()
        assert len(codebook.notes) == 1 + (own(codebook) == 0).sum() + (codebook.membership.sum(axis=1) < 3).sum()


def test_two_entries_more_than_activities_can_be_enough() -> None:
    codebook = shipped("geneactiv", 16)
    assert (own(codebook) == 1).all()
    assert (codebook.membership.sum(axis=1) == 3).all()
    assert codebook.notes == ()


def test_an_activity_without_an_entry_of_its_own_is_noted_with_those_it_shares_all_with(root: dict[str, Any]) -> None:
    soup = root["activities"]["soup"]
    root["activities"] = {"soup": soup, "chips": soup, "typing": soup}
    bank = read(root)
    codebook = build_action_codebook(bank, embed_bank(bank, "hashed-ngrams"))
    assert codebook.membership.all()
    assert codebook.notes[0] == "5 entries instead of 12: the bank has no more distinct sub-actions"
    assert "soup: no entry of its own; all its sub-actions were merged with those of chips, typing" in codebook.notes
    assert "typing: no entry of its own; all its sub-actions were merged with those of soup, chips" in codebook.notes


def test_an_activity_with_fewer_than_three_entries_is_noted(root: dict[str, Any]) -> None:
    for sub_action in root["activities"]["soup"]["sub_actions"][2:]:
        sub_action["wrist_observable"] = False
    bank = read(root)
    codebook = build_action_codebook(bank, embed_bank(bank, "hashed-ngrams"), size=12)
    assert codebook.membership.sum(axis=1).tolist() == [2, 5, 5]
    assert any(note.startswith("soup: 2 of the 3 entries wanted") for note in codebook.notes)
