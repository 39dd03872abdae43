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


def watched(floor: Floor, loss: float, steps: int, free: bool = False) -> list[bool]:
    return [floor.broken(torch.tensor(loss), free) for _ in range(steps)]


def test_a_loss_within_what_is_allowed_breaks_nothing():
    floor = Floor(1.1)
    assert not any(watched(floor, 0.4, 20, free=True))
    assert not any(watched(floor, 0.43, 400))


def test_the_floor_is_broken_while_the_average_is_above_it_and_no_longer():
    floor = Floor(1.1)
    watched(floor, 0.4, 20, free=True)
    up = watched(floor, 0.6, 100)
    assert not up[0] and up[-1] and up == sorted(up)
    down = watched(floor, 0.4, 200)
    assert down[0] and not down[-1]


def test_without_a_floor_nothing_breaks():
    floor = Floor(math.inf)
    watched(floor, 0.4, 5, free=True)
    assert not any(watched(floor, 4.0, 100))


def test_without_a_time_alone_nothing_breaks():
    assert not any(watched(Floor(1.05), 4.0, 100))


def test_a_quadratic_pulled_away_stays_where_the_floor_lets_it():
    """Minimise b with a as constraint: the switch ends at the constraint's edge, the plain sum far beyond it."""
    def ends(allowed: float) -> float:
        x, floor, balancer = torch.zeros(1), Floor(allowed), Balancer({"a": 0.01, "b": 1.0}, decay=0.0)
        for step in range(600):
            point = x.clone().requires_grad_()
            losses = {"a": 1 + point.square().sum(), "b": (point - 3).square().sum()}
            broken = floor.broken(losses["a"], free=step < 20)
            if step >= 20:
                x = x - 0.01 * balancer.gradient({"a": losses["a"]} if broken else losses, point)
        return 1 + float(x.square().sum())

    assert ends(1.5) == pytest.approx(1.5, rel=0.1)
    assert ends(math.inf) > 5
