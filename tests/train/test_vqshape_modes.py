"""What VQShape is used for: features and the linear layer, forecast, imputation, the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmvq_bridge.command import BadInput
from mmvq_train.vqshape import (
    VQShape,
    VQShapeConfig,
    forecast,
    forecast_errors,
    histogram_features,
    imputation_errors,
    linear_probe,
    token_features,
    tokenize,
)
from mmvq_train.vqshape.cli import main
from mmvq_train.vqshape.evaluate import scores
from mmvq_train.vqshape.probe import folds
from mmvq_train.vqshape.series import interpolate

TINY = VQShapeConfig(
    samples=64, patch=8, tokens=8, width=16, heads=2, encoder_layers=1, tokenizer_layers=1, decoder_layers=1,
    codes=6, code_dim=3, points=16,
)  # fmt: skip
OPTIONS = (
    "--samples", 64, "--tokens", 4, "--patch", 8, "--width", 16, "--heads", 2, "--points", 16, "--codes", 6,
    "--encoder-layers", 1, "--tokenizer-layers", 1, "--code-dim", 3, "--max-steps", 4, "--batch", 16,
    "--accelerator", "cpu",
)  # fmt: skip


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> VQShape:
    torch.manual_seed(0)
    model = VQShape(TINY).eval()
    torch.nn.init.normal_(model.book.codes, std=0.2)
    return model


# Features


def test_tokens_are_in_order_of_t_with_their_codes_and_their_channels_level(model: VQShape):
    x = noise(5, 3, 40)
    tokens = tokenize(model, x)
    assert tokens.codes.shape == (5, 3, 8)
    assert tokens.values.shape == (5, 3, 8, 7)
    t = tokens.values[..., 3]
    assert (np.diff(t, axis=-1) >= 0).all()
    codes = model.book.codes.detach().numpy()
    assert np.allclose(tokens.values[..., :3], codes[tokens.codes], atol=1e-6)
    assert np.allclose(tokens.mean, interpolate(x, 64).mean(-1), atol=1e-5)


def test_a_channels_tokens_do_not_depend_on_the_other_channels_or_windows(model: VQShape):
    x = noise(5, 3, 40)
    alone = tokenize(model, x[2:3, 1:2])
    assert np.allclose(tokenize(model, x).values[2, 1], alone.values[0, 0], atol=1e-5)


def test_histograms_count_each_channels_codes(model: VQShape):
    x = noise(5, 3, 40)
    counts = histogram_features(model, x).reshape(5, 3, 6)
    tokens = tokenize(model, x)
    assert counts[3, 2].tolist() == np.bincount(tokens.codes[3, 2], minlength=6).tolist()
    assert token_features(model, x).shape == (5, 3 * 8 * 7)


# The linear layer


def test_the_linear_layer_tells_classes_apart_that_a_line_can():
    y = np.arange(90) % 3
    x = (np.eye(3)[y] * 4 + noise(90, 3).numpy()).astype(np.float32)
    assert (linear_probe(x[:60], y[:60], x[60:]) == y[60:]).mean() > 0.9


def test_a_test_case_is_judged_alike_whatever_else_is_tested():
    y = np.arange(60) % 2
    x, test = noise(60, 8).numpy(), noise(20, 8, seed=1).numpy()
    together = linear_probe(x, y, test)
    assert [linear_probe(x, y, test[i : i + 1])[0] for i in range(2)] == together[:2].tolist()


def test_strength_is_chosen_without_a_person_on_both_sides():
    people = np.repeat(["a", "b", "c", "d", "e"], 8)
    parts = list(folds(np.arange(40) % 2, people))
    assert len(parts) == 4
    for train, held_out in parts:
        assert not set(people[train]) & set(people[held_out])
        assert len(train) + len(held_out) == 40
    assert sorted(np.concatenate([held_out for _, held_out in parts]).tolist()) == list(range(40))


def test_too_few_cases_to_choose_by_still_get_a_layer():
    x = np.array([[0.0], [1.0], [0.1], [0.9]], dtype=np.float32)
    assert linear_probe(x, np.array([0, 1, 0, 1]), x).tolist() == [0, 1, 0, 1]


def test_labels_may_be_words_and_features_constant():
    x = np.array([[0.0, 7.0], [1.0, 7.0]] * 10, dtype=np.float32)
    assert linear_probe(x, np.array(["rest", "run"] * 10), x)[:2].tolist() == ["rest", "run"]


def test_scores_on_values_worked_out_by_hand():
    found = scores(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 2]))
    # F1: label 0 .8 (precision 2/3, recall 1), label 1 0; label 2 does not occur.
    assert found == {"accuracy": 0.5, "macro_f1": pytest.approx(0.4)}


# Forecast and imputation


def test_a_forecast_sees_the_first_patches_only(model: VQShape):
    x = noise(3, 2, 64)
    other = x.clone()
    other[..., 40:] = 50 * noise(3, 2, 24, seed=1)
    assert torch.equal(forecast(model, x, 5), forecast(model, other, 5))
    other[..., 39] += 1
    assert not torch.equal(forecast(model, x, 5), forecast(model, other, 5))


def test_forecast_errors_count_what_was_not_seen_in_the_unit_of_its_channel(model: VQShape):
    x = torch.zeros(1, 2, 64)
    x[0, 0, 16:32], x[0, 0, 32:] = 1.0, 3.0  # seen: mean ½, last 1
    x[0, 1] = 4.0
    found = forecast_errors(model, x, torch.tensor([2.0, 1.0]), 4)
    assert found["mean"] == {"mse": pytest.approx(1.25**2 / 2), "mae": pytest.approx(1.25 / 2)}
    assert found["last"] == {"mse": pytest.approx(1 / 2), "mae": pytest.approx(1 / 2)}
    rebuilt = forecast(model, x, 4)[..., 32:]
    off = (rebuilt - x[..., 32:]) / torch.tensor([2.0, 1.0])[:, None]
    assert found["model"]["mse"] == pytest.approx(float(off.square().mean()), rel=1e-4)


def test_imputation_errors_count_hidden_patches_and_a_line_fills_a_ramp(model: VQShape):
    ramp = torch.arange(64.0).view(1, 1, 64)
    whole = torch.cat([ramp, ramp])
    found = imputation_errors(model, whole, torch.ones(1), 0.25, seed=0)
    # Patches at either end have one neighbour only; a seed under which both ends are seen makes the line exact.
    assert found["line"]["mse"] == pytest.approx(0.0, abs=1e-6)
    assert found["mean"]["mse"] > 10
    assert found == imputation_errors(model, whole, torch.ones(1), 0.25, seed=0)
    assert found != imputation_errors(model, whole, torch.ones(1), 0.25, seed=4)


@pytest.mark.parametrize("seen", [0, 8, -1])
def test_a_forecast_from_nothing_or_of_nothing_is_refused(seen: int, model: VQShape):
    with pytest.raises(BadInput, match=f"--seen {seen} must be"):
        forecast(model, noise(1, 1, 64), seen)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.9, 1.0, float("nan")])
def test_hiding_nothing_or_nearly_everything_is_refused(share: float, model: VQShape):
    with pytest.raises(BadInput, match="--share"):
        imputation_errors(model, noise(1, 1, 64), torch.ones(1), share)


# The command


@pytest.fixture(scope="module")
def trained(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vqshape") / "run"
    words = ("pretrain", "--data", small_file, "--window-s", 4, "--out", out, *OPTIONS)
    assert main([str(word) for word in words]) == 0
    return out


@pytest.fixture
def data(small_file: Path, trained: Path) -> tuple[object, ...]:
    return "--data", small_file, "--window-s", 4, "--model", trained, "--accelerator", "cpu"


def test_evaluate_writes_accuracy_and_macro_f1_of_both_kinds(data, trained: Path, command):
    ended = command(main, "evaluate", *data)
    assert ended.status == 0
    assert "token" in ended.err and "histogram" in ended.err
    figures = json.loads((trained / "evaluate.json").read_text())
    assert figures["schema"] == 1
    (one,) = figures["figures"]
    for kind in ("token", "histogram"):
        assert 0 <= one[kind]["macro_f1"] <= 1
        assert 0 <= one[kind]["accuracy"] <= 1
    assert one["codes"]["size"] == 6
    assert one["classes"] == 4


def test_tokenize_writes_arrays_without_pickle(data, tmp_path: Path, command):
    out = tmp_path / "tokens.npz"
    assert command(main, "tokenize", *data, "--out", out).status == 0
    with np.load(out, allow_pickle=False) as file:
        assert file["labels"].tolist() == ["clapping", "jogging", "sitting", "walking"]
        n = len(file["test_y"])
        assert file["test_codes"].shape == (n, 3, 4)
        assert file["test_values"].shape == (n, 3, 4, 7)
        assert len(file["test_subject"]) == n
        assert not set(file["test_subject"]) & set(file["train_subject"])
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.npz"]


def test_forecast_and_impute_write_errors_beside_those_of_simple_guesses(data, tmp_path: Path, command):
    out = tmp_path / "errors.json"
    for words, names in (
        (("forecast", "--seen", 6), ("model", "mean", "last")),
        (("impute", "--share", 0.5), ("model", "mean", "line")),
    ):
        assert command(main, *words, *data, "--out", out).status == 0
        (one,) = json.loads(out.read_text())["figures"]
        assert all(one[name]["mse"] >= 0 and one[name]["mae"] >= 0 for name in names)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pretrain", "--codes", 1), "--codes 1 lies outside 2 to 8192"),
        (("pretrain", "--heads", 3), "--heads must divide --width"),
        (("pretrain", "--vq", "other"), "--vq: invalid choice"),
        (("pretrain", "--seed", -1), "--seed -1 lies outside"),
        (("pretrain", "--batch", "many"), "--batch: invalid int value"),
        (("pretrain", "--data", "nowhere.parquet"), "nowhere.parquet"),
        (("pretrain", "--length"), "--length: expected one argument"),
        (("evaluate", "--model", "nowhere"), "mmvq-vqshape pretrain"),
        (("evaluate", "--modle", "x"), "unrecognized arguments: --modle"),
        ((), "required: COMMAND"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_status_2(words, said, command, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = command(main, *words)
    assert ended.status == 2
    assert ended.err.startswith("mmvq-vqshape: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_finished_model_is_not_trained_over(trained: Path, small_file: Path, command):
    ended = command(main, "pretrain", "--data", small_file, "--out", trained, *OPTIONS)
    assert ended.status == 2
    assert "finished model in it; give another --out" in ended.err


def test_seen_beyond_the_model_is_said_before_anything_is_written(data, tmp_path: Path, command):
    ended = command(main, "forecast", "--seen", 8, *data, "--out", tmp_path / "f.json")
    assert ended.status == 2
    assert "--seen 8 must be at least 1 and under the 8 patches" in ended.err
    assert not (tmp_path / "f.json").exists()


def test_help_shows_examples_and_every_dial_with_its_default(command):
    assert "mmvq-vqshape evaluate" in command(main, "--help").out
    told = " ".join(command(main, "pretrain", "--help").out.split())
    for option in ("--batch", "--epochs", "--max-steps", "--warm-up", "--precision", "--vq", "--length", "--devices"):
        assert option in told
    assert "(default 2048)" in told
