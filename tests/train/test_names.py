"""Codes get names only for what they really tell."""

import numpy as np
import pytest
import torch

from mmvq_train.codebook import ShapeCodebook, TextTargets
from mmvq_train.data import WindowSet
from mmvq_train.evaluate import Judged
from mmvq_train.names import Code, describe_codes
from mmvq_train.pieces import Layout
from mmvq_train.student import Student

LAYOUT = Layout(20.0, 80, (1.0,), (1.0,))  # four tokens of three axes
CLASSES, SIZE = 4, 6
ENTRIES = ("walk", "wave", "type", "rest")  # each activity owns one, in order
MEMBERSHIP = torch.eye(4, dtype=torch.bool)
# Class 0 makes up most of the windows: a code that follows the prior alone is mostly found there.
SHARES = (0.7, 0.1, 0.1, 0.1)


def described(codes: torch.Tensor, y: torch.Tensor, actions: torch.Tensor, text: bool = True) -> list[Code]:
    targets = TextTargets(torch.randn(4, 12), MEMBERSHIP, torch.randn(4, 12)) if text else None
    codebook = ShapeCodebook(LAYOUT, SIZE, 4, CLASSES, targets).eval()
    student = Student(LAYOUT, SIZE, 4, CLASSES, len(ENTRIES), 8, 4)
    count = len(y)
    judged = Judged(torch.zeros(count, CLASSES), codes, torch.zeros(0), torch.zeros(0), actions)
    subject = np.array([f"person {i % 6}" for i in range(count)])
    train = WindowSet(torch.zeros(count, 80, 3), y, subject)
    return describe_codes(student, codebook, judged, train, ENTRIES, MEMBERSHIP, 0)


def scene(planted: bool, seed: int, count: int = 600):
    """Codes are drawn at random, but where planted: code 5 then occurs in windows of class 2 only."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.multinomial(torch.tensor(SHARES), count, replacement=True, generator=generator)
    codes = torch.randint(SIZE - planted, (count, 4, 3), generator=generator)
    if planted:
        codes[y == 2, 1] = 5
    # Sub-actions as a student learns them from candidate sets: those of the window's own activity.
    actions = 0.04 + 0.84 * torch.nn.functional.one_hot(y, 4)[:, None].expand(count, 4, 4).float()
    return codes, y, actions


def test_a_code_that_follows_the_class_prior_alone_gets_no_name():
    named = sum(code.name is not None for seed in range(5) for code in described(*scene(False, seed)))
    assert named <= 1  # one false name in twenty runs is allowed for


def test_a_planted_association_is_found_and_only_that():
    codes = described(*scene(True, 0))
    assert [code.name for code in codes] == [None] * 5 + ["type"]


def test_without_text_no_code_has_a_name():
    assert all(code.name is None for code in described(*scene(True, 0), text=False))


def test_a_code_is_described_by_its_usage_shape_and_likeliest_sub_actions():
    codes, y, actions = scene(True, 1)
    found = described(codes, y, actions)
    assert sum(code.usage for code in found) == pytest.approx(1.0, abs=1e-4)
    assert found[5].usage == pytest.approx(float((codes == 5).float().mean()), abs=1e-5)
    assert next(iter(found[5].sub_actions)) == 2
    assert found[5].sub_actions[2] == pytest.approx(0.88, abs=1e-3)
    for code in found:
        assert np.shape(code.shape) == (1, 32)
        assert np.std(code.shape) == pytest.approx(1.0, abs=0.01)
        assert code.length_s == 1.0


def test_an_unused_code_has_no_usage_and_no_name():
    codes, y, actions = scene(True, 2)
    codes = codes.clamp_max(4)
    unused = described(codes, y, actions)[5]
    assert (unused.usage, unused.name) == (0.0, None)


def test_a_code_is_written_as_the_model_file_wants_it():
    written = Code([[0.0] * 32], 1.0, 0.25, {3: 0.5}, None).as_json()
    assert written == {
        "shape": [[0.0] * 32], "length_s": 1.0, "usage": 0.25, "sub_actions": {"3": 0.5}, "name": None,
    }  # fmt: skip
