"""Losses of the codebook, its model, and stage 1 with and without text."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmvq_bridge.command import BadInput
from mmvq_train.codebook import CodebookStage, ShapeCodebook, TextTargets
from mmvq_train.codebook.losses import (
    action_loss,
    alignment,
    balanced_loss,
    candidate_set,
    shape_error,
    sharpness,
    spread,
    supervised_contrast,
    weighted_cross_entropy,
)
from mmvq_train.codebook.model import attribute_inputs, scale_g
from mmvq_train.config import CodebookConfig, Config, PiecesConfig
from mmvq_train.data import WindowSet
from mmvq_train.fitting import fit
from mmvq_train.pieces import Layout

LAYOUT = Layout(20.0, 40, (0.5, 1.0), (0.5, 0.5))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets() -> TextTargets:
    """Five sub-actions, three activities; the middle one is shared."""
    membership = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]], dtype=torch.bool)
    return TextTargets(noise(5, 12), membership, noise(3, 2, 12, seed=1))


# Losses


def test_candidate_set_is_minus_the_log_of_the_probability_inside():
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]]).log()[None]
    allowed = torch.tensor([[True, False, True, False]])
    assert float(candidate_set(logits, allowed)) == pytest.approx(-(math.log(0.4) + math.log(0.5)) / 2)
    assert float(candidate_set(logits, torch.ones(1, 4, dtype=torch.bool))) == pytest.approx(0.0, abs=1e-6)


def test_spread_is_nothing_when_the_tokens_share_the_set_and_log_of_its_size_with_one_favourite():
    allowed = torch.tensor([[True, True, False]])
    shared = torch.tensor([[[50.0, 0.0, 0.0], [0.0, 50.0, 0.0]]])
    favourite = torch.tensor([[[50.0, 0.0, 0.0], [50.0, 0.0, 99.0]]])
    assert float(spread(shared, allowed)) == pytest.approx(0.0, abs=1e-5)
    assert float(spread(favourite, allowed)) == pytest.approx(math.log(2), abs=1e-5)


def test_sharpness_is_the_entropy_of_a_token():
    logits = torch.tensor([[[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]]).clamp_min(1e-30).log()
    assert float(sharpness(logits)) == pytest.approx((1.5 * math.log(2)) / 2, abs=1e-5)


def test_action_loss_falls_when_tokens_settle_evenly_inside_their_set():
    allowed = torch.tensor([[True, True, False]])
    good, outside, alike = (
        action_loss(torch.tensor([rows]), allowed)
        for rows in ([[9.0, 0, 0], [0, 9.0, 0]], [[0, 0, 9.0], [0, 0, 9.0]], [[9.0, 0, 0], [9.0, 0, 0]])
    )
    assert good < alike < outside


def test_the_balanced_loss_prefers_an_even_use_of_the_set_to_a_favourite():
    allowed = torch.tensor([[True, True, False]])
    even = torch.tensor([[[4.0, 0, 0], [0, 4.0, 0]]])
    favourite = torch.tensor([[[4.0, 0, 0], [4.0, 0.1, 0]]])
    assert balanced_loss(even, allowed) < balanced_loss(favourite, allowed)


def test_supervised_contrast_on_values_worked_out_by_hand():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 0])
    # Row 0 and 2: logits (1, 0, 1), positives 0 and 2; row 1: logits (0, 1, 0), positive 1. Temperature 1.
    e = math.e
    two, one = -math.log(e / (2 * e + 1)), -math.log(e / (e + 2))
    assert float(supervised_contrast(a, a, labels, 1.0)) == pytest.approx((2 * two + one) / 3, abs=1e-5)


def test_alignment_is_small_where_text_and_signal_of_a_label_lie_together_whatever_their_length():
    labels = torch.arange(4)
    text = torch.eye(4)
    assert float(alignment(7 * text, 0.1 * text, labels)) < 0.01
    assert float(alignment(text.roll(1, 0), text, labels)) > 5


def test_shape_error_is_what_the_drawing_leaves_unexplained():
    t = torch.linspace(0, 2 * math.pi, 33)[:32]
    sine, cosine = torch.sin(t), torch.cos(t)
    keep = torch.tensor([True])
    assert shape_error(sine[None], 3 * sine[None] + 1, keep) == pytest.approx(0.0, abs=1e-5)
    assert shape_error(sine[None], -sine[None], keep) == pytest.approx(0.0, abs=1e-5)
    assert shape_error(sine[None], cosine[None], keep) == pytest.approx(1.0, abs=1e-5)
    assert shape_error(sine[None], (sine + cosine)[None], keep) == pytest.approx(0.5, abs=1e-5)
    both = torch.stack([sine, sine])
    assert shape_error(both, torch.stack([sine, cosine]), torch.tensor([True, False])) == pytest.approx(0.0, abs=1e-5)


def test_rare_labels_weigh_more_and_absent_ones_nothing():
    logits = torch.zeros(5, 3)
    logits[:, 0] = 2.0
    labels = torch.tensor([0, 0, 0, 0, 1])
    frequency = torch.tensor([0.8, 0.2, 0.0])
    ratio = (0.8 / 0.2) ** 0.5
    each = F.cross_entropy(logits, labels, reduction="none")
    expected = (each[:4].sum() + ratio * each[4]) / (4 + ratio)
    assert float(weighted_cross_entropy(logits, labels, frequency)) == pytest.approx(float(expected))


# The model


def test_whole_windows_are_rebuilt_at_their_size_and_logits_have_a_value_a_class():
    model = ShapeCodebook(LAYOUT, 8, 4, 3, targets()).eval()
    pieces, z = model.encode(noise(5, 40, 3))
    torch.testing.assert_close(scale_g(attribute_inputs(pieces[0])), pieces[0].scale)
    assert [part.shape for part in z] == [(5, 4, 3, 4), (5, 3, 3, 4)]
    quantised = model.quantise(z)
    features = model.features(pieces, [q.z for q in quantised])
    hidden = model.hidden(features, [q.codes for q in quantised])
    assert model.rebuild(features, hidden).shape == (5, 40, 3)
    assert model.logits(hidden).shape == (5, 3)
    assert model.action_logits(pieces, z).shape == (5, 7, 5)
    both = ShapeCodebook(LAYOUT, 8, 4, 3, targets(), method="both").eval()
    assert both.token_action_logits(pieces, z).shape == (5, 7, 5)
    assert model.pooled(hidden).shape == model.text.labels()[torch.tensor([0, 1, 2, 0, 1])].shape


def test_the_encoder_keeps_lengths_so_that_z_cannot_grow():
    encoder = ShapeCodebook(LAYOUT, 8, 4, 3, None).encoders[0]
    with torch.no_grad():
        encoder.linear.weight.mul_(7).add_(0.3 * noise(4, 32))
    encoder.constrain()
    assert torch.allclose(encoder.linear.weight @ encoder.linear.weight.T, torch.eye(4), atol=1e-5)


def test_a_code_is_drawn_as_thirty_two_points_without_mean():
    shapes = ShapeCodebook(LAYOUT, 8, 4, 3, None).code_shapes()
    assert [s.shape for s in shapes] == [(8, 32), (8, 32)]
    assert all(s.mean(-1).abs().max() < 1e-5 for s in shapes)


def test_the_text_of_an_activity_is_its_own_beside_the_mean_of_its_sub_actions():
    text = ShapeCodebook(LAYOUT, 8, 4, 3, targets()).text
    prototypes = text.prototypes()
    assert torch.allclose(prototypes.norm(dim=-1), torch.ones(5), atol=1e-5)
    own = F.normalize(text.project(text.activities), dim=-1)
    assert torch.allclose(text.labels()[1], prototypes[2:4].mean(0) + own[1], atol=1e-5)


def moving(label: int, seed: int) -> torch.Tensor:
    t = torch.arange(40) / 20
    wave = torch.sin(2 * math.pi * (label + 1) * t)[:, None] * torch.tensor([1.0, 0.3, 0.5])
    return wave + 0.1 * noise(40, 3, seed=seed) + torch.tensor([0.0, 0.0, 1.0])


@pytest.mark.parametrize("text", [targets(), None], ids=["with text", "without text"])
def test_stage_1_learns_shapes_better_than_nothing(text: TextTargets | None, tmp_path):
    stage, data = trained(text, tmp_path)
    model = stage.model
    assert (model.text is None) == (text is None)
    with torch.no_grad():
        pieces, z = model.encode(data.x)
        quantised = model.quantise(z)
        features = model.features(pieces, [q.z for q in quantised])
        guess = model.logits(model.hidden(features, [q.codes for q in quantised])).argmax(-1)
    assert max(errors(model, data)) < 0.8
    assert float((guess == data.y).float().mean()) > 0.8
    assert not (tmp_path / "log" / "codebook.ckpt").exists()


def test_joint_codes_draw_all_axes_of_a_piece_at_once(tmp_path):
    stage, data = trained(targets(), tmp_path, joint=True)
    _, z = stage.model.encode(data.x[:5])
    assert [part.shape for part in z] == [(5, 4, 1, 4), (5, 2, 1, 4), (5, 1, 1, 4)]
    shapes = stage.model.code_shapes()[0].view(8, 3, 32)
    assert shapes.mean(-1).abs().max() < 1e-5
    assert max(errors(stage.model, data)) < 0.8


@pytest.mark.parametrize(
    "how",
    [
        {"method": "token"},
        {"method": "both", "target": "balanced"},
        {"fusion": True},
        {"fusion": True, "target": "attention", "method": "both"},
    ],
    ids=lambda how: " ".join(f"{k} {v}" for k, v in how.items()),
)
def test_whatever_teaches_sub_actions_they_come_to_lie_in_the_set_of_the_label(how: dict[str, Any], tmp_path):
    stage, data = trained(targets(), tmp_path, **how)
    with torch.no_grad():
        p = stage.model.action_logits(*stage.model.encode(data.x)).softmax(-1)
    allowed = targets().membership[data.y].float()
    assert float((p * allowed[:, None]).sum(-1).mean()) > float(allowed.mean()) + 0.15


def test_shapes_are_learnt_alone_before_text_and_labels_have_a_say(tmp_path):
    stage, _ = trained(targets(), tmp_path, alone=1.0, settled=0.0)
    fresh = CodebookStage(stage_config(), windows(), 3, targets()).model
    assert torch.equal(stage.model.text.project.weight, fresh.text.project.weight)
    assert not torch.equal(stage.model.encoders[0].linear.weight, fresh.encoders[0].linear.weight)


def test_a_stage_does_not_go_on_from_a_checkpoint_that_would_run_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "log").mkdir()
    torch.save({"state_dict": Trap()}, tmp_path / "log" / "codebook.ckpt")
    with pytest.raises(BadInput, match=r"codebook\.ckpt: cannot be gone on from; remove it"):
        trained(None, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_codes_stand_still_while_their_readers_settle(tmp_path):
    one, _ = trained(targets(), tmp_path / "one", alone=0.5, settled=0.5)
    other, _ = trained(None, tmp_path / "other", alone=0.5, settled=0.5, label=50.0)
    assert torch.equal(one.model.encoders[0].linear.weight, other.model.encoders[0].linear.weight)
    assert torch.equal(one.model.books()[0].codes, other.model.books()[0].codes)
    fresh = CodebookStage(stage_config(), windows(), 3, targets()).model
    assert not torch.equal(one.model.code_action.weight, fresh.code_action.weight)


def stage_config(**how: Any) -> Config:
    recipe = CodebookConfig(**{"size": 8, "dim": 4, "epochs": 8, "batch": 30, "learning_rate": 0.01} | how)
    pieces = PiecesConfig((0.5, 1.0, 2.0), (0.5, 1.0, 1.0), views=("axes",))
    return Config(window_s=2.0, pieces=pieces, codebook=recipe)


def windows() -> WindowSet:
    y = torch.arange(120) % 3
    return WindowSet(torch.stack([moving(int(c), i) for i, c in enumerate(y)]), y, np.full(120, "a"))


def trained(text: TextTargets | None, run: Path, **how: Any) -> tuple[CodebookStage, WindowSet]:
    """A small stage 1 on three frequencies of movement, in evaluation mode."""
    stage = CodebookStage(stage_config(**how), windows(), 3, text)
    fit(stage, "codebook", run, "cpu")
    stage.model.eval()
    return stage, windows()


@torch.no_grad()
def errors(model: ShapeCodebook, data: WindowSet) -> list[float]:
    """The shape error of every length."""
    pieces, z = model.encode(data.x)
    drawn = [shapes[q.codes] for shapes, q in zip(model.code_shapes(), model.quantise(z), strict=True)]
    return [shape_error(p.shape, d, p.loud) for p, d in zip(pieces, drawn, strict=True)]
