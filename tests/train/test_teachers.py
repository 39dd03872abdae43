import dataclasses
import json

import gudhi
import numpy as np
import pytest
import torch

from mmvq_bridge.command import BadInput
from mmvq_train.teachers.persistence import ROWS_AT_ONCE, PersistenceImager, persistence_diagrams, signal_range
from mmvq_train.teachers.wrn import WideResNet


def bars_of(signal, threshold=0.0):
    births, deaths, valid = persistence_diagrams(np.asarray(signal)[None], threshold)
    return sorted(zip(births[valid].tolist(), deaths[valid].tolist(), strict=True))


def gudhi_bars(signal, threshold=0.0):
    # The cells of this complex are the samples and the steps between them, as in a line of vertices and edges.
    complex_ = gudhi.CubicalComplex(vertices=np.asarray(signal, dtype=np.float64))
    complex_.compute_persistence(min_persistence=0.0)
    pairs = complex_.persistence_intervals_in_dimension(0)
    return sorted((float(b), float(d)) for b, d in pairs if np.isfinite(d) and d - b > threshold)


def wrist_like(rng, samples=200):
    t = np.arange(samples) / 20
    swing = np.sin(2 * np.pi * 0.9 * t + rng.uniform(0, 6)) + 0.4 * np.sin(2 * np.pi * 1.8 * t)
    return np.round((swing + 0.1 * rng.standard_normal(samples)) * 256) / 256  # counts of the sensor: ties occur


SIGNALS = {
    "random": [np.random.default_rng(seed).standard_normal(50 + seed) for seed in range(20)],
    "tied": [np.random.default_rng(seed).integers(0, 4, 40).astype(float) for seed in range(20)],
    "plateaus": [np.repeat(np.random.default_rng(seed).integers(0, 5, 12), 3).astype(float) for seed in range(20)],
    "wrist-like": [wrist_like(np.random.default_rng(seed)) for seed in range(10)],
    "constant": [np.ones(9)],
    "monotone": [np.arange(9.0), -np.arange(9.0)],
    "short": [np.zeros(1), np.array([1.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 2.0, 1.0])],
}


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_diagrams_are_those_of_gudhi(kind, threshold):
    for signal in SIGNALS[kind]:
        assert bars_of(signal, threshold) == gudhi_bars(signal, threshold)


def test_the_younger_valley_dies_where_it_meets_the_older():
    assert bars_of([3.0, 0.0, 5.0, 1.0, 2.0, 1.5, 9.0]) == [(1.0, 5.0), (1.5, 2.0)]


def test_constant_and_monotone_signals_have_no_bars():
    for signal in SIGNALS["constant"] + SIGNALS["monotone"]:
        assert bars_of(signal) == []


def test_a_signal_has_the_same_diagram_alone_and_in_a_batch_of_several_chunks():
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((2 * ROWS_AT_ONCE + 3, 30))
    births, deaths, valid = persistence_diagrams(batch)
    assert births.shape == deaths.shape == valid.shape
    assert valid.any(axis=0).all(), "no column is padding only"
    for row in (0, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, len(batch) - 1):
        assert sorted(zip(births[row][valid[row]], deaths[row][valid[row]], strict=True)) == bars_of(batch[row])
    assert (births[~valid] == 0).all() and (deaths[~valid] == 0).all()


def test_no_signals_give_no_diagrams():
    assert persistence_diagrams(np.empty((0, 5)))[2].shape == (0, 0)


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros((2, 0)), np.array([[0.0, np.nan]]), np.array([[np.inf, 0.0]])])
def test_diagrams_refuse_what_is_no_signal(bad):
    with pytest.raises(BadInput, match="persistence"):
        persistence_diagrams(bad)


def training_windows(count=40, samples=100):
    rng = np.random.default_rng(1)
    scale = np.array([1.0, 0.3, 2.0])
    return np.stack([[wrist_like(rng, samples) for _ in range(3)] for _ in range(count)]).transpose(0, 2, 1) * scale


def fitted(windows, size=32, sigma=0.03):
    return PersistenceImager(*signal_range(windows), size, sigma)


def test_images_are_float32_between_zero_and_one_with_a_maximum_of_one_for_every_axis():
    windows = training_windows()
    images = fitted(windows, size=16, sigma=0.06).images(windows.astype(np.float32))
    assert images.shape == (40, 3, 16, 16)
    assert images.dtype == np.float32
    assert images.min() >= 0
    np.testing.assert_array_equal(images.max(axis=(2, 3)), 1)


def test_an_image_equals_the_sum_of_gaussians_written_out():
    imager = PersistenceImager((0.0,), (10.0,), size=20, sigma=0.1)
    window = np.array([6.0, 0.0, 8.0, 2.0, 5.0, 4.0, 10.0])[None, :, None]
    # Scaled by x / 5 - 1 the bars are (-.6, .6) and (-.2, 0): births -.6 and -.2, lifetimes 1.2 and .2.
    births, lifetimes = -0.95 + 0.1 * np.arange(20), 0.05 + 0.1 * np.arange(20)
    expected = sum(
        np.exp(-((births[None, :] - b) ** 2 + (lifetimes[:, None] - life) ** 2) / (2 * 0.1**2))
        for b, life in [(-0.6, 1.2), (-0.2, 0.2)]
    )
    np.testing.assert_allclose(imager.images(window)[0, 0], expected / expected.max(), atol=1e-5)


def test_a_flat_axis_gives_an_image_of_zeros():
    windows = training_windows()
    windows[:, :, 1] = 0.5
    images = fitted(windows).images(windows)
    assert not images[:, 1].any()
    assert images[:, 0].any(axis=(1, 2)).all()


def test_the_range_comes_from_the_bulk_of_the_training_windows_axis_by_axis():
    windows = np.random.default_rng(0).uniform(-1, 1, (100, 100, 2)) * [1.0, 4.0]
    windows[0, :3] = 30.0
    imager = fitted(windows)
    np.testing.assert_allclose(imager.high, [1, 4], rtol=0.02)
    np.testing.assert_allclose(imager.low, [-1, -4], rtol=0.02)


def test_a_window_has_the_same_image_alone_and_among_many():
    windows = np.random.default_rng(0).standard_normal((500, 20, 3))
    imager = fitted(windows)
    together = imager.images(windows)
    for row in (0, 340, 341, 342, 499):
        np.testing.assert_allclose(imager.images(windows[row : row + 1])[0], together[row], atol=1e-6)


def test_an_imager_survives_json():
    imager = fitted(training_windows())
    kept = json.loads(json.dumps(dataclasses.asdict(imager)))
    again = PersistenceImager(tuple(kept["low"]), tuple(kept["high"]), kept["size"], kept["sigma"])
    assert again == imager


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 1}, "pixels a side"),
        ({"sigma": 0.01}, "finer than their pixels"),
        ({"sigma": float("nan")}, "finer than their pixels"),
        ({"low": (1.0,)}, "below its high"),
        ({"low": (0.0, 0.0)}, "below its high"),
    ],
)
def test_an_imager_refuses_settings_that_draw_nothing(change, says):
    with pytest.raises(BadInput, match=says):
        PersistenceImager(**{"low": (-1.0,), "high": (1.0,), **change})


def test_an_imager_refuses_windows_that_it_cannot_draw():
    imager = PersistenceImager((-1.0,) * 3, (1.0,) * 3)
    broken = np.zeros((4, 10, 3))
    broken[2, 5, 1] = np.nan
    with pytest.raises(BadInput, match="window 2, sample 5, axis 1"):
        imager.images(broken)
    with pytest.raises(BadInput, match="2 axes"):
        imager.images(np.zeros((4, 10, 2)))
    with pytest.raises(BadInput, match="shape"):
        imager.images(np.zeros((10, 3)))
    with pytest.raises(BadInput, match="no training windows"):
        fitted(np.zeros((0, 10, 3)))


def weights(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("depth", "width", "thousands"), [(16, 1, 61), (16, 3, 536), (28, 1, 127), (28, 3, 1120)])
def test_wrn_has_the_published_number_of_weights(depth, width, thousands):
    assert round(weights(WideResNet(3, 14, depth, width)) / 1000) == thousands


def test_wrn_on_signals_gives_logits_and_the_features_of_three_stages():
    logits, features = WideResNet(3, 14)(torch.randn(2, 3, 500))
    assert logits.shape == (2, 14)
    assert [tuple(f.shape) for f in features] == [(2, 16, 500), (2, 32, 250), (2, 64, 125)]


def test_wrn_on_images_gives_logits_and_the_features_of_three_stages():
    logits, features = WideResNet(4, 5, depth=10, width=2, dims=2)(torch.randn(2, 4, 32, 32))
    assert logits.shape == (2, 5)
    assert [tuple(f.shape) for f in features] == [(2, 32, 32, 32), (2, 64, 16, 16), (2, 128, 8, 8)]


def test_every_wrn_weight_gets_a_gradient():
    model = WideResNet(3, 4, depth=10)
    model(torch.randn(4, 3, 32))[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_the_same_seed_gives_the_same_wrn():
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(WideResNet(3, 4, depth=10).eval())
    x = torch.randn(2, 3, 32)
    assert torch.equal(models[0](x)[0], models[1](x)[0])


@pytest.mark.parametrize("wrong", [{"depth": 17}, {"depth": 4}, {"width": 0}, {"classes": 0}])
def test_wrn_refuses_impossible_sizes(wrong):
    with pytest.raises(BadInput, match="WRN"):
        WideResNet(**{"inputs": 3, "classes": 4, **wrong})


@pytest.mark.parametrize("shape", [(2, 4, 32), (3, 32), (2, 3, 8, 8)])
def test_wrn_refuses_inputs_of_another_shape(shape):
    with pytest.raises(BadInput, match="WRN got"):
        WideResNet(3, 4, depth=10)(torch.zeros(shape))
