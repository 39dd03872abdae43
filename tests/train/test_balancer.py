"""Shares of the update, and a floor under one loss."""

import math

import pytest
import torch

from mmvq_train.codebook.balancer import Balancer, Floor


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
