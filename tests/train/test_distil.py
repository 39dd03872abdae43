"""Losses of distillation and weights of teachers, against values worked out by hand."""

import math

import pytest
import torch

from mmvq_train.distil.losses import (
    DiscriminativeConsistent,
    Regressor,
    attention_transfer,
    contrast_and_consistency,
    correlation_distance,
    divergence,
    feature_distance,
    similarity_preserving,
)
from mmvq_train.distil.weights import Agent, agent_state, confidence_weights, entropy_weights, equal_weights

LN2, LN3 = math.log(2), math.log(3)


def test_divergence_of_hand_computed_logits():
    # At temperature 2 the teacher says (.75, .25) and the student (.5, .5): KL = .75 ln 1.5 + .25 ln .5, times 4.
    teacher, student = torch.tensor([[2 * LN3, 0.0], [0.0, 0.0]]), torch.zeros(2, 2)
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    torch.testing.assert_close(divergence(student, teacher, 2.0), torch.tensor([expected, 0.0]))


def test_divergence_is_finite_for_a_teacher_without_doubt():
    assert divergence(torch.zeros(1, 3), torch.tensor([[500.0, 0.0, -500.0]]), 1.0).isfinite().all()


def test_attention_of_hand_computed_features():
    # Mean squares over features: the student's map is (4, 3), length 5; the teacher's (9, 0). (.8 - 1)² + .6² = .4
    student = torch.tensor([[[2.0, 0.0], [2.0, math.sqrt(6)]]])
    teacher = torch.tensor([[[3.0, 0.0], [3.0, 0.0], [3.0, 0.0]]])
    assert attention_transfer(student, teacher).item() == pytest.approx(0.4)
    assert attention_transfer(student, -7 * student).item() == pytest.approx(0, abs=1e-7)


def test_attention_of_features_that_are_all_zero_is_finite():
    student = torch.zeros(2, 3, 4, requires_grad=True)
    attention_transfer(student, torch.randn(2, 5, 4)).backward()
    assert student.grad is not None and student.grad.isfinite().all()


def test_similarity_of_hand_computed_features():
    # A Aᵀ of a is [[1, 0], [0, 4]], rows to length 1: identity. Of b: all rows alike, each entry 1 / √2.
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    b = torch.tensor([[[3.0], [0.0]], [[3.0], [0.0]]])
    half = math.sqrt(0.5)
    of_two = similarity_preserving(a, [b, 5 * a])
    torch.testing.assert_close(of_two, torch.tensor([(2 * (1 - half) ** 2 + 2 * half**2) / 4, 0.0]))


def test_similarity_of_features_that_are_all_zero_is_finite():
    a = torch.zeros(3, 4, requires_grad=True)
    similarity_preserving(a, [torch.randn(3, 5)]).sum().backward()
    assert a.grad is not None and a.grad.isfinite().all()


def test_correlation_of_hand_computed_answers():
    # Two classes, so every correlation over classes is 1 or -1; over windows likewise, as there are two.
    sure = torch.tensor([[LN3, 0.0], [0.0, LN3]])
    assert correlation_distance(sure, 5 * sure, 1.0).item() == pytest.approx(0, abs=1e-5)
    assert correlation_distance(sure, -sure, 1.0).item() == pytest.approx(2 + 2)
    # One window right, one turned round: over classes 1 - 1 and 1 + 1, mean 1; over windows no movement in the
    # student, correlation 0, so 1. Twice the temperature: four times as much.
    half = torch.tensor([[LN3, 0.0], [LN3, 0.0]])
    assert correlation_distance(half, sure, 1.0).item() == pytest.approx(1 + 1)
    assert correlation_distance(2 * half, 2 * sure, 2.0).item() == pytest.approx(4 * 2)


def test_correlation_forgives_a_scale_that_divergence_does_not():
    teacher = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0], [1.0, -2.0, 0.5]])
    student = 0.9 * teacher
    assert correlation_distance(student, teacher, 4.0) < 0.01
    assert divergence(student, teacher, 1.0).mean() > correlation_distance(student, teacher, 1.0)


def test_feature_distance_is_a_mean_over_everything_but_windows():
    a, b = torch.zeros(2, 2, 2), torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 4.0]]])
    torch.testing.assert_close(feature_distance(a, b), torch.tensor([1.0, 4.0]))


def test_a_regressor_of_a_sum_is_the_sum_over_its_tokens():
    regress, tokens = Regressor(4, 3), torch.randn(2, 5, 4)
    apart = tokens @ regress.linear.weight.T
    torch.testing.assert_close(regress(tokens.sum(1)), apart.sum(1) + regress.linear.bias)


def test_contrast_and_consistency_of_hand_computed_logits():
    # Rows say (2/3, 1/3) and (1/2, 1/2); columns, turned, (2/3, 1/3) and (1/2, 1/2) as well: no inconsistency.
    logits = torch.tensor([[LN2, 0.0], [0.0, 0.0]])
    contrast = (math.log(3 / 2) + LN2) / 2
    assert contrast_and_consistency(logits, 0.5).item() == pytest.approx(contrast)
    # Rows (2/3, 1/3), (2/3, 1/3); columns (1/2, 1/2) each: KL of a half and a half from two thirds and a third.
    logits = torch.tensor([[LN2, 0.0], [LN2, 0.0]])
    contrast = (math.log(3 / 2) + math.log(3)) / 2
    apart = 0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))
    assert contrast_and_consistency(logits, 0.5).item() == pytest.approx(contrast + 0.5 * apart)


def test_students_that_learn_by_contrast_end_beside_their_teachers():
    torch.manual_seed(0)
    loss, teacher = DiscriminativeConsistent(4, 6, width=8), torch.randn(12, 6)
    student = torch.randn(12, 4, requires_grad=True)
    optimiser = torch.optim.Adam([student, *loss.parameters()], 0.05)
    first = loss(student, teacher).item()
    for _ in range(150):
        optimiser.zero_grad()
        loss(student, teacher).backward()
        optimiser.step()
    assert loss(student, teacher).item() < 0.3 * first


def test_one_teacher_counts_fully():
    alone = [torch.randn(3, 4)]
    for weights in (equal_weights(alone), entropy_weights(alone), confidence_weights(alone, torch.tensor([0, 1, 2]))):
        assert weights.tolist() == [[1.0]] * 3


def test_the_surer_teacher_counts_more():
    # Entropies ln 2 and .75 ln(4/3) + .25 ln 4.
    teachers = [torch.zeros(1, 2), torch.tensor([[LN3, 0.0]])]
    unsure, sure = LN2, 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    expected = torch.tensor([[sure / (sure + unsure), unsure / (sure + unsure)]])
    torch.testing.assert_close(entropy_weights(teachers), expected)
    torch.testing.assert_close(entropy_weights([*teachers, torch.zeros(1, 2)]).sum(1), torch.ones(1))
    assert entropy_weights([torch.tensor([[900.0, 0.0]])] * 2).isfinite().all()


def test_the_righter_teacher_counts_more():
    # Errors ln 4 and ln(4/3) for label 0: softmax of them is (4, 4/3) / (16/3) = (3/4, 1/4).
    teachers, y = [torch.tensor([[0.0, LN3]]), torch.tensor([[LN3, 0.0]])], torch.tensor([0])
    torch.testing.assert_close(confidence_weights(teachers, y), torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(confidence_weights([*teachers, torch.zeros(1, 2)], y).sum(1), torch.ones(1))


def test_the_agent_sees_likeness_gap_error_features_and_answers():
    student, teacher = torch.zeros(1, 2), torch.tensor([[2 * LN3, 0.0]])
    features, taught = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    state = agent_state(student, features, teacher, taught, torch.tensor([0]), 2.0)
    gap = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    expected = [math.sqrt(0.5), gap, math.log(10 / 9), 1.0, 1.0, 2 * LN3, 0.0]
    torch.testing.assert_close(state, torch.tensor([expected]))


def test_the_agent_learns_to_weigh_what_was_rewarded():
    """Teacher 0 serves windows whose first feature is 1: there rewards are high."""
    torch.manual_seed(0)
    agent = Agent([1], classes=1)
    good = torch.tensor([1.0, 0.0]).repeat(32)
    states = [torch.cat([torch.zeros(64, 4), good[:, None]], dim=1)]
    optimiser = torch.optim.Adam(agent.parameters(), 0.02)
    before = agent(states)[0].detach()
    for _ in range(60):
        optimiser.zero_grad()
        agent.loss(states, good).backward()
        optimiser.step()
    after = agent(states)[0].detach()
    gained = (after - before)[:, 0]
    assert after.min() >= 0 and after.max() <= 1
    assert gained[good == 1].mean() > gained[good == 0].mean() > -0.5
    assert after[good == 1].mean() > 0.9
