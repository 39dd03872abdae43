"""The student: contributions that add up, tokens that see their span only, frozen codes, calibration."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist
from student_parts import LAYOUT, codebook, noise

from mmvq_train.calibrate import KNOWN_SHARE, calibrate
from mmvq_train.data import WindowSet
from mmvq_train.dropout import Dropout
from mmvq_train.pieces import resampling_matrix
from mmvq_train.student import Student
from mmvq_train.student.model import sub_action_probabilities
from mmvq_train.student.teacher import SelfTeacher
from mmvq_train.student.unknown import LEAST, SHRINK, STEPS, Unlikeness
from mmvq_train.teachers import knowledge_of
from mmvq_train.workspace import SlotReader


@pytest.fixture(params=[False, True], ids=["", "with slots"])
def student(request) -> Student:
    torch.manual_seed(1)
    reader = SlotReader(16, 8, 5, 2) if request.param else None
    if reader is not None:
        reader.remember(noise(7, 5, 8))
    made = Student(LAYOUT, 8, 4, 3, 4, 16, 5, reader=reader).eval()
    made.adopt(codebook(LAYOUT))
    with torch.no_grad():
        made.bias.copy_(torch.tensor([0.3, -0.2, 1.0]))
    return made


def test_outputs_have_a_row_a_token(student: Student):
    out, tokens = student(noise(5, 80, 3)), LAYOUT.tokens
    assert out.logits.shape == (5, 3)
    assert out.codes.shape == out.margins.shape == (5, tokens, 3)
    assert out.attributes.shape == (5, tokens, 3, 4)
    assert out.contributions.shape == (5, tokens, 3)
    assert out.actions.shape == (5, tokens, 4)
    assert 0 <= int(out.codes.min()) <= int(out.codes.max()) < 8


def test_contributions_and_bias_add_up_to_the_logits(student: Student):
    out = student(noise(9, 80, 3))
    assert torch.allclose(out.contributions.sum(1) + student.bias, out.logits, atol=1e-5)


def test_attributes_are_time_and_length_in_seconds_and_offset_and_scale_in_g(student: Student):
    x = noise(2, 80, 3)
    attributes = student(x).attributes
    assert torch.allclose(attributes[0, :, 0, :2], torch.from_numpy(LAYOUT.spans_s()), atol=1e-6)
    for token, (t, length) in enumerate(LAYOUT.spans_s()):
        begin = round(float(t) * 20)
        span = x[:, begin : begin + round(float(length) * 20)]
        points = span.mT @ resampling_matrix(span.shape[1])
        assert torch.allclose(attributes[:, token, :, 2], span.mean(1), atol=1e-3)
        assert torch.allclose(attributes[:, token, :, 3], points.std(-1, correction=0), atol=1e-5)


def test_a_token_does_not_change_with_the_signal_outside_its_span(student: Student):
    x = noise(6, 80, 3)
    before = student(x)
    for token, (t, length) in enumerate(LAYOUT.spans_s()):
        begin = round(float(t) * 20)
        end = begin + round(float(length) * 20)
        changed = 3 * noise(6, 80, 3, seed=2)
        changed[:, begin:end] = x[:, begin:end]
        after = student(changed)
        assert torch.equal(after.codes[:, token], before.codes[:, token])
        for name in ("attributes", "contributions", "actions"):
            assert torch.allclose(getattr(after, name)[:, token], getattr(before, name)[:, token], atol=1e-6)


def test_a_reason_is_the_whole_reason(student: Student):
    """Tokens of one length with equal codes, offsets and scales have equal rows, whatever else differs in them."""
    pieces = student.pieces.joined(noise(40, 80, 3))
    out = student.judge(pieces)
    again = student.judge(replace(pieces, shape=pieces.shape + 1e-3 * noise(*pieces.shape.shape, seed=3)))
    same = (again.codes == out.codes).all(-1)
    assert 0.9 < float(same.float().mean()) <= 1
    assert torch.equal(again.contributions[same], out.contributions[same])
    assert torch.equal(again.actions[same], out.actions[same])


def test_another_code_is_another_reason(student: Student):
    pieces = student.pieces.joined(noise(10, 80, 3))
    out, flipped = student.judge(pieces), student.judge(replace(pieces, shape=-pieces.shape))
    other = (flipped.codes != out.codes).any(-1)
    assert other.any()
    assert ((flipped.contributions - out.contributions).abs().amax(-1)[other] > 1e-4).float().mean() > 0.95


def test_centring_leaves_probabilities_as_they_are(student: Student):
    x = noise(50, 80, 3)
    before = F.softmax(student(x).logits, -1)
    student.centre(x)
    after = student(x)
    assert torch.allclose(F.softmax(after.logits, -1), before, atol=1e-5)
    assert torch.allclose(after.contributions.sum(1) + student.bias, after.logits, atol=1e-5)


def test_centring_makes_an_average_piece_count_nothing(student: Student):
    x = noise(50, 80, 3)
    assert student(x).contributions.sum(1).mean(0).abs().max() > 0.05
    student.centre(x)
    contributions = student(x).contributions
    for part in contributions.split(LAYOUT.counts, dim=1):
        assert part.mean((0, 1)).abs().max() < 1e-5  # over the tokens of a length
    assert contributions.sum(-1).abs().max() < 1e-5  # over classes


def test_without_text_every_sub_action_is_equally_likely():
    student = Student(LAYOUT, 8, 4, 3, 4, 16, 5).eval()
    student.adopt(codebook(LAYOUT, text=False))
    assert torch.allclose(sub_action_probabilities(student(noise(3, 80, 3)).actions), torch.tensor(0.25))


def test_tokens_are_all_that_the_networks_see(student: Student):
    x = noise(4, 80, 3)
    out = student(x)
    contributions, embeddings = student.said(*student.tokens(student.pieces.joined(x)))
    assert torch.equal(contributions, out.contributions)
    assert torch.equal(embeddings, out.embeddings)


def test_a_student_can_teach_the_next(student: Student):
    x = noise(3, 80, 3)
    known = knowledge_of(SelfTeacher(student), [x])
    assert torch.equal(known.logits[0], student(x).logits)
    assert known.tokens.shape == (1, 3, 16, 3 * 16)


def test_labels_do_not_reach_the_map_to_the_codes(student: Student):
    out = student.train()(noise(6, 80, 3))
    F.cross_entropy(out.logits, torch.arange(6) % 3).backward()
    assert student.maps[0].weight.grad is None
    assert student.embed[0].grad is not None


class Told(Student):
    """A student whose first token counts what the first samples of x are, and that alone makes its logits: what
    calibration is to find is known."""

    def forward(self, x: torch.Tensor):
        out = super().forward(x)
        alone = torch.zeros_like(out.contributions)
        alone[:, 0] = x[:, 0]
        return replace(out, logits=x[:, 0], contributions=alone)


def test_calibration_finds_the_temperature_that_labels_were_drawn_with():
    truth = 2.5
    x = noise(4000, 80, 3)
    x[:, 0] = 6 * noise(4000, 3, seed=5)
    drawn = torch.multinomial((x[:, 0] / truth).softmax(-1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    student = Told(LAYOUT, 8, 4, 3, 4, 16, 5).eval()
    student.adopt(codebook(LAYOUT))
    seen = WindowSet(x, drawn, np.array(["a"] * 4000))
    calibrate(student, seen, seen)
    assert float(student.temperature) == pytest.approx(truth, rel=0.12)
    unknown = student.unlikeness(student.by_length(student(x).contributions))
    assert float((unknown <= student.threshold).float().mean()) == pytest.approx(KNOWN_SHARE, abs=0.002)


@pytest.mark.parametrize(("steps", "off"), [(10**7, 1e-4), (STEPS, 0.02)], ids=["fine", "as files keep them"])
def test_the_unknown_score_is_the_distance_to_the_nearest_class_less_that_to_all(
    steps: int, off: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mmvq_train.student.unknown.STEPS", steps)
    y = np.arange(6000) % 3
    spread = np.eye(6) + 0.5 * np.eye(6, k=1)
    spread[2] *= 2
    seen = 5 * np.eye(3, 6)[y] + noise(6000, 1, 6, seed=4)[:, 0].numpy() @ spread
    probe = np.array([[5, 0, 0, 0, 0, 0], [9, 0, 0, 1, 0, 0], [2.5, 2.5, 0, 0, -1, 2], [-9, 9, -9, 4, 0, 0]])
    middle = np.stack([seen[y == c].mean(0) for c in range(3)])

    def inverse(apart: np.ndarray) -> np.ndarray:
        found = np.cov(apart.T, bias=True)
        return np.linalg.inv(found + (SHRINK * np.trace(found) / 6 + LEAST) * np.eye(6))

    near = cdist(probe, middle, "mahalanobis", VI=inverse(seen - middle[y])).min(1) ** 2
    far = cdist(probe, seen.mean(0)[None], "mahalanobis", VI=inverse(seen)).min(1) ** 2
    unlike = Unlikeness(2, 3)
    told = [torch.from_numpy(rows.reshape(-1, 2, 3)) for rows in (seen, probe)]
    unlike.fit(told[0], torch.from_numpy(y))
    np.testing.assert_allclose(unlike(told[1].float()), near - far, rtol=off)


def test_the_matrices_of_the_unknown_score_are_whole_steps_as_files_keep_them():
    y, unlike = torch.arange(600) % 3, Unlikeness(2, 3)
    unlike.fit(F.one_hot(y, 3)[:, None] + noise(600, 2, 3), y)
    for matrix in (unlike.square, unlike.line):
        counted = matrix / (matrix.abs().amax(0) / STEPS)
        torch.testing.assert_close(counted, counted.round(), rtol=0.0, atol=1e-4)
        assert counted.abs().amax(0).tolist() == pytest.approx([STEPS] * matrix.shape[1])


def test_a_label_without_windows_is_never_the_nearest():
    y, unlike = torch.arange(600) % 3, Unlikeness(1, 4)
    unlike.fit(F.one_hot(y, 4)[:, None] + 0.1 * noise(600, 1, 4), y)
    told = unlike(torch.eye(4)[:, None])
    assert torch.isfinite(told).all() and told[3] > told[:3].max() + 10


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    layer, x = Dropout(0.25), torch.ones(999, 101, requires_grad=True)
    said = layer(x)
    assert sorted(set(said.flatten().tolist())) == pytest.approx([0.0, 4 / 3])
    assert float((said == 0).float().mean()) == pytest.approx(0.25, abs=0.005)  # four deviations
    said.sum().backward()
    torch.testing.assert_close(x.grad, said.detach())
    assert not torch.equal(layer(x), said)
    assert layer.eval()(x) is x
    assert Dropout(0.0)(x) is x
