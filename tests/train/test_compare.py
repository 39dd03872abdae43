"""Disturbances on values worked out by hand, and judges held beside each other."""

import numpy as np
import pytest
import torch

from mmvq_train.compare import DISTURBANCES, compare, grouped, noisy, scaled, shifted, with_losses
from mmvq_train.data import WindowSet
from mmvq_train.teachers import Teacher


class Leaning(Teacher):
    """Says the label that its mean along x is nearest to; its features are the signal."""

    def forward(self, drawn):
        mean = drawn[..., 0].mean(1, keepdim=True)
        return -(mean - torch.arange(3.0)).square(), (drawn.transpose(1, 2),)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def ramps(count: int = 60, samples: int = 40) -> torch.Tensor:
    return torch.arange(samples, dtype=torch.float32)[None, :, None].expand(count, -1, 3)


def test_what_is_lost_is_bridged_by_straight_lines():
    assert torch.allclose(with_losses(ramps(), 0.6, generator()), ramps(), atol=1e-4)
    bent = ramps().square()
    assert not torch.allclose(with_losses(bent, 0.6, generator()), bent, atol=1.0)
    kept = (with_losses(bent, 0.6, generator()) - bent).abs().amax(-1) < 1e-3
    assert 0.3 < kept.float().mean() < 0.5  # and the two ends


def test_noise_shift_and_scale():
    x = ramps()
    assert (noisy(x, 0.2, generator()) - x).std() == pytest.approx(0.2, rel=0.05)
    assert shifted(x, 0.25, generator())[0, :, 0].tolist() == [*range(30, 40), *range(30)]
    assert torch.equal(scaled(x, 1.5, generator()), 1.5 * x)


def test_every_disturbance_has_a_level_that_changes_nothing():
    x = torch.randn(5, 40, 3, generator=generator())
    for how, levels, _ in DISTURBANCES.values():
        assert any(torch.allclose(how(x, level, generator()), x, atol=1e-6) for level in levels)


def test_rows_are_grouped_by_label_and_spread():
    y = torch.arange(3).repeat(100)
    rows = grouped(y, 4)
    assert y[rows].tolist() == sorted(y[rows].tolist())
    assert torch.bincount(y[rows]).tolist() == [18, 18, 18]
    assert int(rows[0]) == 0 and int(rows[17]) == 297


def test_a_judge_that_reads_the_mean_is_hurt_by_scale_and_not_by_shift():
    y = torch.arange(3).repeat(20)
    x = y[:, None, None] + 0.1 * torch.randn(60, 40, 3, generator=generator())
    data = WindowSet(x, y, np.array(["a"] * 60))
    found = compare({"student": Leaning()}, data, 3, 0)["student"]
    assert found.accuracy["macro_f1"] == 1
    assert set(found.disturbed["time shift"].values()) == {1.0}
    assert found.disturbed["scale"][0.7] < 1 == found.disturbed["scale"][1.0]
    same = found.of[:, None] == found.of
    assert found.likeness[same].mean() > 0.3 > 0 > found.likeness[~same].mean()
