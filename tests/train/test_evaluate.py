"""Figures on hand-made cases, where the answer is known."""

import numpy as np
import pytest
import torch

from mmvq_train.data import WindowSet
from mmvq_train.deletion import deletion, short_spans
from mmvq_train.evaluate import ablation_rows, accuracy, explanation_figures, judge
from mmvq_train.pieces import Layout
from mmvq_train.student import Student

LAYOUT = Layout(20.0, 80, (0.5, 1.0, 4.0), (0.5, 1.0, 1.0))
CLASSES, ACTIONS = 3, 5


def windows(count: int = 30) -> WindowSet:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 80, 3, generator=generator)
    return WindowSet(x, torch.arange(count) % CLASSES, np.array([f"person {i % 2}" for i in range(count)]))


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    made = Student(LAYOUT, 8, 4, CLASSES, ACTIONS, 16, 4).eval()
    with torch.no_grad():
        made.codes.copy_(torch.randn(made.codes.shape))
        made.bias.copy_(torch.tensor([0.3, -0.1, 0.2]))
    return made


def test_accuracy_on_a_hand_made_case():
    data = WindowSet(torch.zeros(6, 80, 3), torch.tensor([0, 0, 0, 1, 1, 1]), np.array(["a", "a", "b", "a", "b", "b"]))
    found = accuracy([0, 0, 1, 1, 1, 2], data, CLASSES)
    # Class 0: precision 1, recall 2/3; class 1: precision 2/3, recall 2/3; class 2 does not occur in truth.
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    assert found["confusion"] == [[2, 1, 0], [0, 2, 1], [0, 0, 0]]
    assert found["per_subject"]["a"] == 1.0
    # b: truth 0, 1, 1, said 1, 1, 2.
    assert found["per_subject"]["b"] == pytest.approx((0 + 0.5) / 2)


def test_a_student_adds_up_and_one_whose_contributions_were_changed_does_not(student: Student):
    data, membership = windows(), torch.ones(CLASSES, ACTIONS, dtype=torch.bool)
    judged = judge(student, data)
    assert explanation_figures(student, judged, data, membership, 0)["additivity"] < 1e-5
    judged.contributions[3, 0, 1] += 0.5
    assert explanation_figures(student, judged, data, membership, 0)["additivity"] == pytest.approx(0.5, abs=1e-4)


def test_sub_actions_inside_the_set_are_told_beside_chance(student: Student):
    data = windows()
    membership = torch.zeros(CLASSES, ACTIONS, dtype=torch.bool)
    membership[:, :2] = True
    found = explanation_figures(student, judge(student, data), data, membership, 0)
    # Without text all sub-actions are alike: what falls inside is chance.
    assert found["sub_actions_in_set"] == pytest.approx(found["sub_actions_in_set_chance"]) == pytest.approx(0.4)


def test_deleting_what_counted_most_costs_more_than_deleting_at_random(student: Student):
    data, membership = windows(200), torch.ones(CLASSES, ACTIONS, dtype=torch.bool)
    found = explanation_figures(student, judge(student, data), data, membership, 0)
    assert found["deletion_drop_named"] > found["deletion_drop_random"]
    assert found["deletion_named_wins"] > 0.5
    assert -1 <= found["deletion_correlation"] <= 1


def test_ablation_has_a_row_for_every_length_and_leaves_the_student_as_it_was(student: Student):
    data = windows()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    rows = ablation_rows(student, judge(student, data), data, CLASSES)
    assert [row["without"] for row in rows] == [
        "nothing", "pieces of 0.5 s", "pieces of 1 s", "pieces of 4 s", "shape codes",
    ]  # fmt: skip
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in before.items())


def test_the_pieces_of_several_views_count_together_and_long_ones_are_left_out():
    spans = np.array([[0.0, 0.5], [0.0, 4.0], [0.5, 0.5], [0.0, 0.5]], dtype=np.float32)
    own, counted = short_spans(spans, torch.tensor([[1.0, 8.0, 2.0, 4.0]]))
    assert own.tolist() == [[0.0, 0.5], [0.5, 0.5]]
    assert counted.tolist() == [[5.0, 2.0]]


@pytest.mark.parametrize(("honest", "named_wins"), [(1.0, 1.0), (-1.0, 0.0)])
def test_deletion_tells_an_explanation_that_is_true_from_one_that_is_the_wrong_way_round(honest, named_wins):
    # The judge adds up what the first axis measures in every second; the last piece of a window weighs most.
    x = torch.zeros(50, 200, 3)
    weight = torch.arange(10.0)
    x[..., 0] = weight.repeat_interleave(20)

    def judge(windows: torch.Tensor) -> torch.Tensor:
        told = windows[..., 0].unflatten(1, (10, 20)).mean(2) @ weight
        return torch.stack([told, torch.zeros(len(windows))], dim=1)

    spans = np.stack([np.arange(10.0), np.ones(10)], axis=1).astype(np.float32)
    counted = honest * (weight * (weight - weight.mean())).expand(50, 10)
    found = deletion(judge, x, torch.zeros(50, dtype=torch.long), spans, counted, 20.0, 0)
    assert found["deletion_named_wins"] == pytest.approx(named_wins, abs=0.1)
    assert found["deletion_correlation"] == pytest.approx(honest, abs=1e-6)
    assert (found["deletion_drop_named"] > found["deletion_drop_random"]) == (honest > 0)
