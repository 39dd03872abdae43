"""Embeddings of a bank: the file beside it, and what is refused of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mmvq_bridge.command import BadInput
from mmvq_train.text import (
    Bank,
    embeddings_for,
    embeddings_path,
    label_embeddings,
    label_phrases,
    load_bank,
    load_embeddings,
    save_embeddings,
    shipped_banks,
)
from mmvq_train.text.bank import parse_bank


def metadata(path: Path) -> dict[str, Any]:
    with safe_open(str(path), framework="numpy") as file:
        return dict(json.loads(file.metadata()["mmvq"]))


def lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


# The file beside the bank ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_banks())
def test_the_shipped_embeddings_are_those_of_the_shipped_bank(name: str) -> None:
    bank = load_bank(name)
    embeddings, notice = embeddings_for(bank)
    assert notice is None
    assert embeddings.encoder == "all-MiniLM-L6-v2"
    assert embeddings.texts == bank.texts
    assert embeddings.rows.shape == (len(bank.texts), 384)
    assert embeddings.rows.dtype == np.float32
    np.testing.assert_allclose(lengths(embeddings.rows), 1, atol=1e-5)
    assert metadata(embeddings_path(shipped_banks()[name]))["texts"] == list(bank.texts)  # and nothing of an older text


def test_all_shipped_embeddings_are_of_the_same_weights() -> None:
    found = {embeddings_for(load_bank(name))[0].weights_sha256 for name in shipped_banks()}
    assert len(found) == 1
    assert len(found.pop()) == 64


def test_a_bank_finds_the_rows_of_its_sub_actions_and_activities(wisdm: Bank) -> None:
    embeddings, _ = embeddings_for(wisdm)
    assert embeddings.of(wisdm.arms).shape == (180, 384)
    assert embeddings.of(wisdm.sentences).shape == (18, 384)
    np.testing.assert_array_equal(embeddings.of(embeddings.texts[5:2:-1]), embeddings.rows[5:2:-1])
    assert embeddings.lacks(["hand waves at the moon"]) == "hand waves at the moon"
    assert embeddings.lacks(wisdm.texts) is None


def test_what_an_activity_is_can_be_said_by_any_of_four_kinds_of_text(wisdm: Bank) -> None:
    embeddings, _ = embeddings_for(wisdm)
    rows = label_embeddings(wisdm, embeddings, ("negative", "sentence"))
    assert rows.shape == (18, 2, 384)
    soup = wisdm.labels.index("soup")
    np.testing.assert_array_equal(rows[soup, 0], embeddings.of(wisdm.activities[soup].negative).mean(axis=0))
    np.testing.assert_array_equal(rows[:, 1], embeddings.of(wisdm.sentences))


def test_a_kind_of_text_that_an_activity_lacks_is_named(wisdm: Bank) -> None:
    bare = replace(wisdm.activities[3], keywords=(), sentence="")
    bank = replace(wisdm, activities=(*wisdm.activities[:3], bare))
    assert label_phrases(bank, ("sentence",))[3] == [(bare.text,)]
    with pytest.raises(BadInput, match=f"{bare.label}.*no keywords.*--codebook.texts"):
        label_phrases(bank, ("sentence", "keywords"))


def test_a_selection_of_labels_finds_its_rows_in_the_file_of_the_whole_bank(wisdm: Bank) -> None:
    whole, _ = embeddings_for(wisdm)
    few = wisdm.select(["soup", "jogging"])
    two, notice = embeddings_for(few)
    soup, jogging = wisdm.labels.index("soup"), wisdm.labels.index("jogging")
    assert notice is None
    np.testing.assert_array_equal(two.of(few.sentences), whole.of(wisdm.sentences)[[soup, jogging]])
    np.testing.assert_array_equal(two.of(few.arms)[10:], whole.of(wisdm.arms)[np.array(wisdm.owners) == jogging])
    assert two.texts == few.texts != whole.texts


def test_saved_embeddings_are_read_again_and_the_same_input_gives_the_same_bytes(wisdm: Bank, tmp_path: Path) -> None:
    bank = wisdm.select(["soup", "chips"])
    embeddings, _ = embeddings_for(bank)
    save_embeddings(embeddings, tmp_path / "a.safetensors")
    save_embeddings(embeddings, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_embeddings(bank, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.rows, embeddings.rows)
    assert (again.texts, again.encoder, again.weights_sha256) == (
        embeddings.texts,
        embeddings.encoder,
        embeddings.weights_sha256,
    )


def remedy(bank: Bank) -> str:
    return f"; make it anew: mmvq-bank embed {bank.source}"


def test_embeddings_of_other_text_are_refused_as_stale_by_what_is_new(
    small: tuple[Bank, Path], root: dict[str, Any]
) -> None:
    bank, path = small
    assert bank.source is not None
    root["activities"]["soup"]["sub_actions"][2]["arm"] = "dunk"
    bank.source.write_text(json.dumps(root), encoding="utf-8")
    for load in (embeddings_for, lambda changed: load_embeddings(changed, path)):
        with pytest.raises(BadInput, match=r"small\.safetensors: stale, .* 'dunk' is not in it") as error:
            load(load_bank(bank.source))
        assert str(error.value).endswith(remedy(bank))


@pytest.mark.parametrize("key", ["keywords", "affirmative", "negative"])
def test_a_new_text_about_the_activity_makes_embeddings_stale_as_well(
    key: str, small: tuple[Bank, Path], root: dict[str, Any]
) -> None:
    bank, _ = small
    assert bank.source is not None
    root["activities"]["chips"][key] = ["one more"]
    with pytest.raises(BadInput, match=r"stale, .* 'one more' is not in it"):
        embeddings_for(parse_bank(json.dumps(root).encode(), bank.source))


def test_a_text_taken_away_leaves_the_embeddings_of_the_others(small: tuple[Bank, Path], root: dict[str, Any]) -> None:
    bank, _ = small
    assert bank.source is not None
    del root["activities"]["chips"]
    fewer = parse_bank(json.dumps(root).encode(), bank.source)
    assert embeddings_for(fewer)[0].texts == fewer.texts


def resave(path: Path, changed: dict[str, object], rows: np.ndarray | None = None) -> None:
    """Write the file anew with some of it changed."""
    old = load_file(str(path))["rows"]
    meta = json.dumps(metadata(path) | changed)
    save_file({"rows": old if rows is None else rows}, str(path), metadata={"mmvq": meta})


def assert_refused(bank: Bank, path: Path, message: str) -> None:
    with pytest.raises(BadInput) as error:
        embeddings_for(bank)
    assert str(error.value).startswith(f"{path}: {message}")
    assert str(error.value).endswith(remedy(bank))
    assert "\n" not in str(error.value)


def test_a_text_hash_that_does_not_fit_is_refused(small: tuple[Bank, Path]) -> None:
    bank, path = small
    resave(path, {"text_sha256": "0" * 64})
    assert_refused(bank, path, "text_sha256 is not that of its texts")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 3), np.float32), "'rows' must be float32 with one row for each of its texts"),
        (np.ones(14, np.float32), "'rows' must be float32 with one row for each of its texts"),
        (np.ones((14, 3), np.float64), "'rows' must be float32"),
        (np.full((14, 3), np.nan, np.float32), "rows are not of length 1"),
        (np.ones((14, 3), np.float32), "rows are not of length 1"),
        (np.zeros((14, 0), np.float32), "rows are not of length 1"),
    ],
)
def test_wrong_rows_are_refused(small: tuple[Bank, Path], rows: np.ndarray, message: str) -> None:
    bank, path = small
    resave(path, {}, rows)
    assert_refused(bank, path, message)


@pytest.mark.parametrize("changed", [{"texts": "lift"}, {"texts": [[1]]}, {"encoder": None}, {"weights_sha256": 1}])
def test_metadata_that_are_no_texts_are_refused(small: tuple[Bank, Path], changed: dict[str, object]) -> None:
    bank, path = small
    resave(path, changed)
    assert_refused(bank, path, "metadata must be texts")


@pytest.mark.parametrize("found", [{"mmvq": "{"}, {"mmvq": "{}"}, {"mmvq": "[]"}, {"mmvq": "null"}, {"other": "{}"}])
def test_metadata_of_another_kind_are_refused(small: tuple[Bank, Path], found: dict[str, str]) -> None:
    bank, path = small
    save_file({"rows": np.eye(14, dtype=np.float32)}, str(path), metadata=found)
    assert_refused(bank, path, "not an embeddings file")


def test_what_is_no_safetensors_file_is_refused(small: tuple[Bank, Path]) -> None:
    bank, path = small
    whole = path.read_bytes()
    for data in (b"", b"no such thing", whole[:-1], whole[:20]):
        path.write_bytes(data)
        assert_refused(bank, path, "not an embeddings file")
    save_file({"other": np.ones(2, np.float32)}, str(path))
    assert_refused(bank, path, "not an embeddings file")
