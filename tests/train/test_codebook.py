"""The codebook: quantiser, balancer, losses, and stage 1 with and without text."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmvq_train.codebook import CodebookStage, ShapeCodebook, TextTargets
from mmvq_train.codebook.balancer import Balancer, Floor
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
from mmvq_train.codebook.quantiser import DECAY, Codebook, margins, nearest, perplexity
from mmvq_train.config import CodebookConfig, Config
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


def ready(codes: torch.Tensor) -> Codebook:
    """A codebook that holds these codes."""
    book = Codebook(*codes.shape)
    book.codes.copy_(codes)
    book.total.copy_(codes)
    book.ready.fill_(True)
    return book


# Quantiser


def test_nearest_is_the_code_at_the_smallest_distance():
    z, codes = noise(7, 9, 5), noise(11, 5, seed=1)
    assert torch.equal(nearest(z, codes), torch.cdist(z, codes.expand(7, 11, 5)).argmin(-1))


def test_quantising_gives_the_nearest_code_and_its_mean_squared_distance():
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    out = ready(codes).eval()(torch.tensor([[0.1, 0.0], [1.0, 0.6]]))
    assert out.codes.tolist() == [0, 1]
    assert torch.allclose(out.z, codes)
    assert float(out.commitment) == pytest.approx((0.01 + 0.16) / 4)


def test_the_gradient_passes_straight_through():
    z = noise(6, 3).requires_grad_()
    (ready(noise(4, 3, seed=1)).eval()(z).z * noise(6, 3, seed=2)).sum().backward()
    assert torch.allclose(z.grad, noise(6, 3, seed=2))


def test_the_first_batch_sets_codes_to_the_centres_of_clusters():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    points = (centres.repeat(50, 1) + 0.1 * noise(200, 2))[order]
    torch.manual_seed(0)
    book = Codebook(16, 2).train()
    book(points)
    assert bool(book.ready)
    assert torch.cdist(points, book.codes).min(1).values.max() < 0.5


def test_more_codes_than_points_to_start_from_still_start():
    book = Codebook(16, 2).train()
    book(noise(5, 2))
    assert torch.isfinite(book.codes).all()


def test_codes_follow_what_falls_on_them_by_a_moving_average():
    codes = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    book = ready(codes).train()
    points = torch.tensor([[1.0, 0.0], [9.0, 10.0]])
    book(points)
    # count stays 1 under an even use, so a code moves by 1 − DECAY of its distance to the mean of its points.
    assert torch.allclose(book.codes, DECAY * codes + (1 - DECAY) * points, atol=1e-5)


def test_codes_stand_still_in_evaluation():
    book = ready(noise(4, 3)).eval()
    book(noise(50, 3, seed=1))
    assert torch.equal(book.codes, noise(4, 3))


def test_a_code_that_nothing_falls_on_is_revived_on_a_present_vector():
    book = ready(torch.tensor([[0.0, 0.0], [100.0, 100.0]])).train()
    points = 0.1 * noise(64, 2)
    for _ in range(200):
        book(points)
        if book.codes[1].norm() < 5:
            break
    assert torch.cdist(book.codes[1:], points).min() < 0.1
    assert set(book.eval()(points).codes.tolist()) == {0, 1}


def test_margins_on_values_worked_out_by_hand():
    codes = torch.tensor([[0.0], [4.0]])
    z = torch.tensor([[0.0], [1.0], [2.0], [7.0]])
    # Distances (0, 4), (1, 3), (2, 2), (7, 3).
    assert margins(z, codes).tolist() == pytest.approx([1.0, 0.5, 0.0, 0.4], abs=1e-5)


def test_margins_lie_between_0_and_1():
    found = margins(noise(500, 6), noise(20, 6, seed=1))
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_perplexity_is_the_number_of_codes_if_all_are_used_alike():
    assert perplexity(torch.arange(8).repeat(3), 32) == pytest.approx(8.0)
    assert perplexity(torch.zeros(9, dtype=torch.long), 32) == pytest.approx(1.0)
    entropy = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert perplexity(torch.tensor([0, 0, 0, 1]), 2) == pytest.approx(math.exp(entropy))


# Balancer


def test_each_loss_gets_its_share_of_the_update_whatever_its_size():
    meeting = torch.zeros(2, requires_grad=True)
    losses = {"small": 0.001 * meeting[0], "large": 500.0 * meeting[1]}
    gradient = Balancer({"small": 1.0, "large": 3.0}).gradient(losses, meeting)
    assert gradient.tolist() == pytest.approx([0.25, 0.75])


def test_the_balancer_remembers_how_long_gradients_were():
    balancer = Balancer({"only": 2.0}, decay=0.75)
    lengths = []
    for factor in (1.0, 5.0):
        meeting = torch.zeros(3, requires_grad=True)
        lengths.append(float(balancer.gradient({"only": factor * meeting[0]}, meeting).norm()))
    assert lengths == pytest.approx([1.0, 5.0 / (0.75 * 1 + 0.25 * 5)])
    assert balancer.state_dict()["length"].tolist() == pytest.approx([2.0])


def test_a_loss_without_gradient_does_no_harm():
    meeting = torch.ones(2, requires_grad=True)
    losses = {"flat": (0 * meeting).sum(), "real": meeting.sum()}
    gradient = Balancer({"flat": 1.0, "real": 1.0}).gradient(losses, meeting)
    assert torch.isfinite(gradient).all()
    assert float(gradient.norm()) == pytest.approx(0.5)


def test_only_the_losses_given_share_the_update():
    meeting = torch.zeros(2, requires_grad=True)
    balancer = Balancer({"shape": 1.0, "class": 3.0})
    assert balancer.gradient({"shape": 4 * meeting[0]}, meeting).tolist() == pytest.approx([1.0, 0.0])


def test_pressure_gives_a_loss_a_larger_share_for_that_step():
    meeting = torch.zeros(2, requires_grad=True)
    losses = {"shape": meeting[0], "class": meeting[1]}
    balancer = Balancer({"shape": 1.0, "class": 1.0})
    assert balancer.gradient(losses, meeting, {"shape": 3.0}).tolist() == pytest.approx([0.75, 0.25])
    assert balancer.gradient(losses, meeting).tolist() == pytest.approx([0.5, 0.5])


# Floor


def watched(floor: Floor, loss: float, steps: int, free: bool = False) -> list[float]:
    return [floor.watch(torch.tensor(loss), free) for _ in range(steps)]


def test_a_loss_within_what_is_allowed_is_not_pressed():
    floor = Floor(1.1)
    assert watched(floor, 0.4, 20, free=True) == [1.0] * 20
    assert watched(floor, 0.43, 400) == [1.0] * 400


def test_pressure_grows_while_the_loss_is_above_the_floor_and_lets_go_when_it_is_back():
    floor = Floor(1.1)
    watched(floor, 0.4, 20, free=True)
    up = watched(floor, 0.6, 300)
    assert up[-1] > 10 and up == sorted(up)
    down = watched(floor, 0.4, 2000)
    assert down[-1] == 1.0


def test_without_a_floor_nothing_presses():
    floor = Floor(math.inf)
    watched(floor, 0.4, 5, free=True)
    assert watched(floor, 4.0, 100) == [1.0] * 100


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
    assert [part.shape for part in z] == [(5, 4, 3, 4), (5, 3, 3, 4)]
    quantised = model.quantise(z)
    features = model.features(pieces, [q.z for q in quantised])
    hidden = model.hidden(features, quantised)
    assert model.rebuild(features, hidden).shape == (5, 40, 3)
    assert model.logits(hidden).shape == (5, 3)
    assert model.action_logits(pieces, z).shape == (5, 7, 5)
    both = ShapeCodebook(LAYOUT, 8, 4, 3, targets(), method="both").eval()
    assert both.token_action_logits(pieces, z).shape == (5, 7, 5)
    assert model.pooled(hidden).shape == model.text.labels()[torch.tensor([0, 1, 2, 0, 1])].shape


def test_the_encoder_keeps_lengths_so_that_z_cannot_grow():
    encoder = ShapeCodebook(LAYOUT, 8, 4, 3, None).encoder
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
        guess = model.logits(model.hidden(features, quantised)).argmax(-1)
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
    assert not torch.equal(stage.model.encoder.linear.weight, fresh.encoder.linear.weight)


def test_codes_stand_still_while_their_readers_settle(tmp_path):
    one, _ = trained(targets(), tmp_path / "one", alone=0.5, settled=0.5)
    other, _ = trained(None, tmp_path / "other", alone=0.5, settled=0.5, label=50.0)
    assert torch.equal(one.model.encoder.linear.weight, other.model.encoder.linear.weight)
    assert torch.equal(one.model.books()[0].codes, other.model.books()[0].codes)
    fresh = CodebookStage(stage_config(), windows(), 3, targets()).model
    assert not torch.equal(one.model.code_action.weight, fresh.code_action.weight)


def stage_config(**how: Any) -> Config:
    recipe = CodebookConfig(**{"size": 8, "dim": 4, "epochs": 8, "batch": 30, "learning_rate": 0.01} | how)
    return replace(Config(), codebook=recipe, window_s=2.0)


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
