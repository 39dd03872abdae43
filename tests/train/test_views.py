"""What teachers see: Gramian fields, standardised views, and the drawings that are kept on disk."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.config import Config, TeachersConfig
from mmvq_train.data import WindowSet
from mmvq_train.fitting import fit
from mmvq_train.pieces import Layout
from mmvq_train.teachers import CodebookTeacher, TeacherStage, knowledge_of
from mmvq_train.teachers.cache import kept
from mmvq_train.teachers.gramian import gramian_fields
from mmvq_train.teachers.views import make_view

IMAGE = 16


def windows(count: int = 40, samples: int = 80, seed: int = 0) -> torch.Tensor:
    """Waves that differ in size from axis to axis, with gravity on the last."""
    generator = torch.Generator().manual_seed(seed)
    phase, pace = torch.rand(count, 1, 3, generator=generator) * 6, torch.rand(count, 1, 3, generator=generator) + 0.5
    wave = torch.sin(torch.arange(samples)[None, :, None] * pace * 0.3 + phase)
    return wave * torch.tensor([1.0, 0.2, 3.0]) + torch.tensor([0.0, 0.0, 1.0])


def test_fields_are_those_of_the_angles():
    x = torch.linspace(-1, 1, 9).double()[torch.randperm(9, generator=torch.Generator().manual_seed(0))]
    angle = torch.arccos(x)
    summation, difference = gramian_fields(x)
    torch.testing.assert_close(summation, torch.cos(angle[:, None] + angle[None, :]))
    torch.testing.assert_close(difference, torch.sin(angle[:, None] - angle[None, :]))


def test_fields_of_many_signals_are_each_its_own():
    x = torch.rand(2, 3, 5) * 2 - 1
    fields = gramian_fields(x)
    assert fields.shape == (2, 3, 2, 5, 5)
    torch.testing.assert_close(fields[1, 2], gramian_fields(x[1, 2]))


@pytest.mark.parametrize(
    ("kind", "shape"), [("signal", (3, 80)), ("gramian", (6, IMAGE, IMAGE)), ("persistence", (3, IMAGE, IMAGE))]
)
def test_a_view_is_standardised_by_the_training_windows(kind, shape):
    view = make_view(kind, IMAGE)
    view.prepare(windows())
    seen = view(view.draw(windows()))
    assert seen.shape == (40, *shape)
    across = (0, *range(2, seen.dim()))
    torch.testing.assert_close(seen.mean(across), torch.zeros(len(seen[0])), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(across), torch.ones(len(seen[0])), atol=1e-2, rtol=0)


@pytest.mark.parametrize("kind", ["signal", "gramian", "persistence"])
def test_a_view_of_other_windows_moves_neither_range_nor_scale(kind):
    view = make_view(kind, IMAGE)
    view.prepare(windows())
    before = {name: value.clone() for name, value in view.state_dict().items()}
    alone = view(view.draw(windows(seed=1)[:3]))
    torch.testing.assert_close(view(view.draw(windows(seed=1)))[:3], alone)
    assert all(torch.equal(value, before[name]) for name, value in view.state_dict().items())


def test_a_gramian_view_of_a_window_with_fewer_samples_than_pixels_is_drawn_by_interpolation():
    view = make_view("gramian", 32)
    view.prepare(windows(samples=20))
    assert view(windows(samples=20)).isfinite().all()


def test_drawings_are_kept_and_read_again(tmp_path, monkeypatch):
    view = make_view("persistence", IMAGE)
    view.prepare(windows())
    first = view.draw(windows(), tmp_path)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr("mmvq_train.teachers.views.PersistenceImager.images", None)  # drawing again would fail
    assert torch.equal(view.draw(windows(), tmp_path), first)
    assert first.dtype == torch.uint8
    assert file.suffix == ".npy"


def made(value: float):
    return lambda: np.full(3, value)


def test_other_data_settings_or_names_are_other_entries(tmp_path):
    data = np.arange(4.0)
    kept(tmp_path, "a", {"size": 1}, data, made(1))
    for name, settings, other in [
        ("b", {"size": 1}, data), ("a", {"size": 2}, data), ("a", {"size": 1}, data + 1),
        ("a", {"size": 1}, data.reshape(2, 2)), ("a", {"size": 1}, data.view(np.int64)),
    ]:
        assert kept(tmp_path, name, settings, other, made(2))[0] == 2
    assert kept(tmp_path, "a", {"size": 1}, data, made(3))[0] == 1


@pytest.mark.parametrize("damage", [lambda f: f.write_bytes(f.read_bytes()[:-5]), lambda f: f.write_bytes(b"")])
def test_a_damaged_entry_is_told_and_made_anew(tmp_path, damage, capfd):
    kept(tmp_path, "a", {}, np.zeros(2), made(1))
    (file,) = tmp_path.iterdir()
    damage(file)
    assert kept(tmp_path, "a", {}, np.zeros(2), made(2))[0] == 2
    assert str(file) in capfd.readouterr().err
    assert kept(tmp_path, "a", {}, np.zeros(2), made(3))[0] == 2


def test_a_pickled_entry_is_never_opened(tmp_path, capfd):
    kept(tmp_path, "a", {}, np.zeros(2), made(1))
    (file,) = tmp_path.iterdir()
    np.save(file, np.array([{"any": "object"}], dtype=object), allow_pickle=True)
    assert kept(tmp_path, "a", {}, np.zeros(2), made(2))[0] == 2
    assert "made anew" in capfd.readouterr().err


def test_a_folder_that_cannot_be_written_costs_only_the_entry(tmp_path, capfd):
    (tmp_path / "file").write_text("in the way")
    assert kept(tmp_path / "file" / "views", "a", {}, np.zeros(2), made(1))[0] == 1
    assert "going on without" in capfd.readouterr().err


def draw_slowly(folder: Path, wait, answers) -> None:
    def make():
        wait.wait(30)  # until the other process is making it too
        return np.arange(1000.0)

    answers.put(float(kept(folder, "a", {}, np.zeros(2), make).sum()))


def test_two_runs_that_draw_the_same_at_once_both_have_it_and_leave_one_file(tmp_path):
    context = multiprocessing.get_context("fork")
    wait, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=draw_slowly, args=(tmp_path, wait, answers)) for _ in range(2)]
    for process in both:
        process.start()
    assert [answers.get(timeout=30) for _ in both] == [499500.0, 499500.0]
    for process in both:
        process.join(30)
        assert process.exitcode == 0
    assert len(list(tmp_path.iterdir())) == 1


def data() -> WindowSet:
    return WindowSet(windows(), torch.arange(40) % 3, np.array(["a"] * 40))


@pytest.mark.parametrize("use", ["signal:10-2", "gramian:10-1", "persistence:16-1"])
def test_every_kind_of_teacher_has_knowledge_of_its_own_width(use, tmp_path):
    config = Config(teachers=TeachersConfig(use=(use,), image=IMAGE))
    (spec,) = config.teachers.wanted
    stage = TeacherStage(spec, config, data(), 3, tmp_path)
    knowledge = knowledge_of(stage.teacher, [windows(), -windows()], tmp_path)
    assert knowledge.logits.shape == (2, 40, 3)
    assert knowledge.tokens.shape == (2, 40, 16, 64 * spec.width)
    assert not torch.equal(knowledge.logits[0], knowledge.logits[1])
    assert knowledge.classifier is not None
    said = knowledge.classifier(knowledge.pooled[0].float())
    torch.testing.assert_close(said, knowledge.logits[0], atol=2e-2, rtol=0)  # pooled is kept in half precision


def test_the_same_teacher_named_twice_starts_from_two_seeds():
    config = Config(teachers=TeachersConfig(use=("signal:10-1", "signal:10-1")))
    first, second = (TeacherStage(spec, config, data(), 3).teacher.net for spec in config.teachers.wanted)
    assert not torch.equal(first.head.weight, second.head.weight)


def test_a_teacher_that_trains_in_bfloat16_keeps_its_weights_in_32_bits(tmp_path):
    config = Config(teachers=TeachersConfig(use=("signal:10-1",), epochs=1, batch=20))
    heads = {}
    for precision in ("32-true", "bf16-mixed"):
        stage = TeacherStage(config.teachers.wanted[0], config, data(), 3)
        fit(stage, "teacher", tmp_path / precision, "cpu", precision=precision)
        heads[precision] = stage.teacher.net.head.weight
    assert heads["bf16-mixed"].dtype == torch.float32
    assert not torch.equal(*heads.values())
    torch.testing.assert_close(*heads.values(), atol=0.02, rtol=0)


@pytest.mark.parametrize("joint", [False, True])
def test_the_codebook_teaches_as_it_stands(joint):
    layout = replace(Layout(20.0, 80, (0.5, 1.0, 4.0), (0.5, 0.7, 1.0)), joint=joint)
    torch.manual_seed(0)
    codebook = ShapeCodebook(layout, 8, 4, 3, None).eval().requires_grad_(False)
    for book in codebook.books():
        book.codes.normal_()
    knowledge = knowledge_of(CodebookTeacher(codebook), [windows()])
    assert knowledge.tokens.shape[:3] == (1, 40, 16)
    assert knowledge.logits.std() > 0
    assert knowledge.classifier is None
    few = knowledge_of(CodebookTeacher(codebook), [windows()[:5]])
    torch.testing.assert_close(few.logits, knowledge.logits[:, :5])
