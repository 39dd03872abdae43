"""Training the student: labels, teachers, windows without labels, slots; stopped and gone on with."""

import signal
from dataclasses import replace
from typing import get_args
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from student_parts import LAYOUT, codebook, noise, targets, windows

from mmvq_bridge.command import BadInput
from mmvq_train.codebook.quantiser import nearest
from mmvq_train.config import CodebookConfig, Config, DistilMethod, PiecesConfig, StudentConfig, WorkspaceConfig
from mmvq_train.fitting import Batch, fit
from mmvq_train.pieces import LaidInTime, PieceView
from mmvq_train.student import Lessons, Student, StudentStage
from mmvq_train.student.tokens import copies_of, follow, mixed_of
from mmvq_train.teachers import Knowledge

CONFIG = Config(
    window_s=4.0,
    pieces=PiecesConfig((0.5, 1.0, 4.0), (0.5, 0.7, 1.0), views=("axes",)),
    codebook=CodebookConfig(size=8, dim=4),
    workspace=WorkspaceConfig(dim=16),
    student=StudentConfig(width=16, embedding=5, epochs=2, batch=8, learning_rate=0.02),
)


COPIES = 2


def knowledge(count: int) -> list[Knowledge]:
    """Two teachers that know the labels: one whose classifier is a matrix, one that has none."""
    torch.manual_seed(0)
    logits = (4.0 * F.one_hot(torch.arange(count) % 3, 3).float()).expand(COPIES, -1, -1)
    tokens = [noise(COPIES, count, 16, 8, seed=s).half() for s in (1, 2)]
    classifiers = (torch.nn.Linear(8, 3), None)
    return [Knowledge(logits, t, t.mean(2), c) for t, c in zip(tokens, classifiers, strict=True)]


def made(
    config: Config = CONFIG, teachers: int = 2, text: bool = True, kind: type[StudentStage] = StudentStage,
    unlabelled: Lessons | None = None,
):
    """A stage over 24 windows, and the codebook that it follows."""
    data, frozen = windows(), codebook(config.layout, text)
    lessons = Lessons(copies_of(data.x, StudentConfig(copies=COPIES), 0), knowledge(24)[:teachers])
    return kind(config, data, 3, frozen, lessons, targets().membership, unlabelled), frozen


def with_method(name: str, **more) -> Config:
    return replace(CONFIG, student=replace(CONFIG.student, method=name, **more))


def test_the_first_copy_is_the_window_itself_and_the_others_are_turned_and_flat_in_places():
    x = noise(20, 80, 3)
    first, second, third = copies_of(x, StudentConfig(copies=3, gain=0.0), 0)
    assert torch.equal(first, x)
    as_long = (second.norm(dim=-1) - x.norm(dim=-1)).abs() < 1e-5
    assert 0.8 < as_long.float().mean() < 1 and 0.2 < as_long.all(1).float().mean() < 0.8
    assert not torch.allclose(second, x) and not torch.allclose(second, third)


def test_half_of_every_mixed_copy_may_have_noise():
    x = torch.zeros(200, 80, 3)
    student = Student(LAYOUT, 8, 4, 3, 4, 16, 5).eval()
    still, noisy = (mixed_of(student, x, StudentConfig(mixed=2, noise_g=noise_g), 0) for noise_g in (0.0, 0.1))
    changed = (still.tokens.attributes != noisy.tokens.attributes).flatten(2).any(-1).float().mean(1)
    assert changed.min() > 0.3 and changed.max() < 0.7


def test_copies_are_turned_about_the_forearm_where_its_axis_is_known():
    along_x = torch.tensor([1.0, 0.0, 0.0]).expand(300, 80, 3)
    for forearm, least, most in ((None, 0.0, 0.1), ("x", 0.0, 0.1), ("y", 0.35, 0.65)):
        _, copy = copies_of(along_x, StudentConfig(copies=2, rotation_deg=5.0, gain=0.0, forearm=forearm), 0)
        assert least < (1 - copy[:, 0, 0] ** 2).sqrt().square().mean().sqrt() < most, forearm


def test_the_map_learns_the_codes_that_the_encoder_chooses():
    frozen, x = codebook(LAYOUT), noise(200, 80, 3)
    with torch.no_grad():  # an encoder that a linear map can only come near to
        frozen.encoders[0].bend[-1].weight.copy_(noise(*frozen.encoders[0].bend[-1].weight.shape))
    student = Student(LAYOUT, 8, 4, 3, 4, 16, 5).eval()
    student.adopt(frozen)

    def agreement() -> float:
        _, z = frozen.encode(x)
        wanted = torch.cat([nearest(part, book.codes) for part, book in zip(z, frozen.books(), strict=True)], dim=1)
        return float((student(x).codes == wanted).float().mean())

    before = agreement()
    follow(student, frozen, x, 0, 0)
    near = agreement()
    follow(student, frozen, x, 200, 0)
    assert before < near < agreement()


def test_laid_tokens_are_means_of_what_lies_in_each_sixteenth():
    tokens = noise(2, LAYOUT.tokens, 3)
    short, middle, whole = tokens.split(LAYOUT.counts, dim=1)
    laid = LaidInTime(LAYOUT, 16)(tokens)
    assert laid.shape == (2, 16, 9)
    # 80 samples in sixteenths of 5: pieces of 10 every 10 lie in two each, one of 80 in all.
    torch.testing.assert_close(laid[..., :3], short.repeat_interleave(2, dim=1))
    torch.testing.assert_close(laid[..., 6:], whole.expand(-1, 16, -1))
    # Pieces of 20 every 14 samples: the third sixteenth, 10 to 15, has five samples of the first and one of the second.
    torch.testing.assert_close(laid[:, 2, 3:6], (5 * middle[:, 0] + middle[:, 1]) / 6)


@pytest.mark.parametrize("text", [True, False], ids=["with text", "without text"])
@pytest.mark.parametrize("teachers", [2, 1, 0])
def test_training_moves_the_student_and_leaves_its_codes_and_the_codebook(teachers: int, text: bool, tmp_path):
    stage, frozen = made(teachers=teachers, text=text)
    codes, weights = stage.student.codes.clone(), {k: v.clone() for k, v in stage.student.named_parameters()}
    before = {k: v.clone() for k, v in frozen.state_dict().items()}
    assert (len(stage.methods) == 0) == (teachers == 0)
    fit(stage, "student", tmp_path, "cpu", average=0.5)
    assert torch.equal(stage.student.codes, codes)
    assert all(torch.equal(v, before[k]) for k, v in frozen.state_dict().items())
    # Averaging rounds, so that weights which nothing moves differ in the last digits.
    moved = {k for k, v in stage.student.named_parameters() if not torch.allclose(v, weights[k], atol=1e-5)}
    still = set(weights) - moved
    assert still == {"maps.0.weight"} | (set() if text else {"act.linear.weight", "act.linear.bias"})


@pytest.mark.parametrize(
    ("method", "teachers"), [(name, 2) for name in get_args(DistilMethod) if name != "simkd"] + [("workspace", 1)]
)
def test_every_method_learns_labels_and_what_teachers_say(method: str, teachers: int, tmp_path):
    stage, _ = made(with_method(method, epochs=15, piece_dropout=0.0, dropout=0.0), teachers=teachers)
    batch = next(iter(stage.train_dataloader()))

    def asked() -> dict[str, float]:
        noted: dict[str, float] = {}
        torch.manual_seed(0)
        with mock.patch.object(stage, "note", lambda **values: noted.update({k: float(v) for k, v in values.items()})):
            stage.training_step(batch, 0)
        return noted

    before = asked()
    fit(stage, "student", tmp_path, "cpu")
    after = asked()
    assert after["label"] < before["label"]
    assert sum(v for k, v in after.items() if k not in ("loss", "label", "action")) < sum(
        v for k, v in before.items() if k not in ("loss", "label", "action")
    )


def test_what_teachers_say_of_windows_without_labels_is_learnt(tmp_path):
    x, said = noise(12, 80, 3, seed=5), torch.arange(12) % 3
    told = 6.0 * F.one_hot(said, 3).float().expand(COPIES, -1, -1)
    more = Lessons([x] * COPIES, [replace(k, logits=told) for k in knowledge(12)])

    def right(unlabelled: Lessons | None) -> float:
        stage, _ = made(with_method("kd", epochs=60, piece_dropout=0.0, temperature=1.0), unlabelled=unlabelled)
        fit(stage, "student", tmp_path, "cpu")
        return float((stage.finish()(x).logits.argmax(-1) == said).float().mean())

    assert right(more) == 1 > 0.7 > right(None)


def test_mixtures_are_learnt_by_both_labels(tmp_path):
    stage, _ = made(with_method("kd", mixed=2, epochs=30, piece_dropout=0.0, dropout=0.0, smoothing=0.0), teachers=0)
    batch, noted = next(iter(stage.train_dataloader())), []

    def asked() -> float:
        with mock.patch.object(stage, "note", lambda **values: noted.append(values["mixed"].item())):
            torch.manual_seed(0)
            stage.training_step(batch, 0)
        return noted[-1]

    made_of, y = stage.mixed, windows().y
    torch.manual_seed(0)
    rows = torch.randint(24, (8,))
    with torch.no_grad():
        said = stage.student.said(*made_of.tokens.some(0, rows, y.device))[0].sum(1) + stage.student.bias
    share, logs = made_of.share[0, rows], said.log_softmax(-1)
    both = zip(share, y[rows], y[made_of.other[0, rows]], logs, strict=True)
    wanted = -torch.stack([s * log[one] + (1 - s) * log[other] for s, one, other, log in both]).mean()
    before = asked()
    assert before == pytest.approx(wanted.item(), abs=1e-5)
    fit(stage, "student", tmp_path, "cpu")
    assert asked() < 0.8 * before


@pytest.mark.parametrize("views", [("axes",), ("axes", "gravity")])
def test_reading_only_the_pieces_that_are_kept_gives_the_same_logits(views: tuple[PieceView, ...]):
    config = with_method("kd", dropout=0.0, piece_dropout=0.5)
    stage, _ = made(replace(config, pieces=replace(config.pieces, views=views)), teachers=0, text=False)
    tokens = stage.tokens.some(0, torch.arange(24), torch.device("cpu"))
    torch.manual_seed(0)
    wanted, _ = stage._read(*tokens)
    torch.manual_seed(0)
    torch.testing.assert_close(stage._judge(*tokens), torch.stack(wanted))
    assert not torch.allclose(stage._judge(*tokens), torch.stack(wanted))  # other pieces are left out


def test_slots_are_frozen_into_the_student_as_constants(tmp_path):
    config = replace(CONFIG, workspace=replace(CONFIG.workspace, frozen=True))
    stage, _ = made(config)
    assert not stage.student.reader.slots.any()
    before = stage.student.reader.enter.weight.clone()
    fit(stage, "student", tmp_path, "cpu")
    student = stage.finish()
    assert student.reader.slots.std() > 0.01
    assert not torch.allclose(student.reader.enter.weight, before)  # it learnt from labels what to ask
    x = windows().x
    assert torch.allclose(student(x).logits[:3], student(x[:3]).logits, atol=1e-5)  # whatever else is in the batch
    slots = student.reader.slots.clone()
    student.reader.slots.zero_()
    without = student(x).logits
    student.reader.slots.copy_(slots)
    assert (student(x).logits - without).abs().max() > 1e-3  # and reads them


def test_simkd_takes_over_the_teachers_classifier_and_stays_a_sum(tmp_path):
    stage, _ = made(with_method("simkd", epochs=60, piece_dropout=0.0, dropout=0.0))
    known = stage.knowledge[0]
    fit(stage, "student", tmp_path, "cpu")
    student = stage.finish()
    out = student(windows().x)
    assert torch.allclose(out.contributions.sum(1) + student.bias, out.logits, atol=1e-5)
    told = known.classifier(known.pooled[0].float())
    assert (out.logits - told).square().mean() < 0.7 * told.var()


def test_simkd_refuses_a_teacher_without_a_classifier():
    data, frozen = windows(), codebook(LAYOUT)
    with pytest.raises(BadInput, match="simkd"):
        lessons = Lessons([data.x] * COPIES, knowledge(24)[1:])
        StudentStage(with_method("simkd"), data, 3, frozen, lessons, targets().membership)


def test_annealing_learns_labels_alone_at_first():
    stage, _ = made(with_method("kd", anneal=0.5, epochs=4))
    batch, noted = next(iter(stage.train_dataloader())), []
    with mock.patch.object(stage, "note", lambda **values: noted.append(set(values))):
        for epoch in range(4):
            with mock.patch.object(type(stage), "current_epoch", epoch):
                stage.training_step(batch, 0)
    assert ["answers" in values for values in noted] == [False, False, True, True]


class Stopped(StudentStage):
    """Ctrl-C comes in the middle of its third epoch."""

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        if (self.current_epoch, number) == (2, 1):
            raise KeyboardInterrupt
        return super().training_step(batch, number)


def test_a_stage_stopped_in_mid_epoch_goes_on_to_the_weights_of_one_that_was_not(tmp_path, request):
    handler = signal.getsignal(signal.SIGINT)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, handler))  # Lightning switches it off on Ctrl-C
    config = replace(CONFIG, student=replace(CONFIG.student, epochs=5, mixed=2))

    x = noise(12, 80, 3, seed=5)
    more = Lessons([x] * COPIES, knowledge(12))
    whole, _ = made(config, unlabelled=more)
    fit(whole, "student", tmp_path / "whole", "cpu", average=0.5)
    with pytest.raises(KeyboardInterrupt):
        fit(made(config, kind=Stopped, unlabelled=more)[0], "student", tmp_path / "stopped", "cpu", average=0.5)
    assert (tmp_path / "stopped" / "log" / "student.ckpt").exists()
    resumed, _ = made(config, unlabelled=more)
    fit(resumed, "student", tmp_path / "stopped", "cpu", average=0.5)
    assert not (tmp_path / "stopped" / "log" / "student.ckpt").exists()
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_what_is_frozen_stays_out_of_what_is_saved():
    stage, _ = made()
    assert not any("frozen" in name or "encoder" in name for name in stage.state_dict())
    assert "temperature" in stage.student.state_dict()
