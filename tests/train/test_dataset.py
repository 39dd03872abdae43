"""Recordings to windows of training, calibration and test people; augmentation."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import Recording, RecordingFile, write_recordings
from mmvq_train import embedded
from mmvq_train.config import Config
from mmvq_train.data import Dataset, augment, flattened, load_dataset, mirrored, mixed, mixtures, noised
from mmvq_train.data.augment import rotation

CONFIG = Config(window_s=4.0, hop_s=2.0, train_hop_s=1.0)
LABELS = ("rest", "run")


def recording(number: int, subject: str, label: int, seconds: float = 60.0, begin: float = 0.0) -> Recording:
    """Its x is the time in kiloseconds, so that a window says when it was worn."""
    t = np.arange(round(seconds * 20)) / 20
    xyz = np.stack([(t + begin) / 1000, t * 0, t * 0 + 1], axis=1).astype(np.float32)
    return Recording(number, subject, t, xyz, np.full(len(t), label, dtype=np.int32))


def written(folder: Path, *recordings: Recording, labels: tuple[str, ...] = LABELS) -> str:
    path = folder / "recordings.parquet"
    write_recordings(path, RecordingFile("", recordings, labels, 20.0, True))
    return str(path)


def people(*names: str) -> list[Recording]:
    return [recording(2 * i + label, name, label) for i, name in enumerate(names) for label in (0, 1)]


def wearers(data: Dataset) -> list[set[str]]:
    return [set(part.subject.tolist()) for part in (data.train, data.calibrate, data.test)]


@pytest.fixture(scope="module")
def built_in() -> Dataset:
    return load_dataset(Config())


def test_the_embedded_recordings_are_twelve_people_and_eighteen_labels_in_two_and_a_half_megabytes(built_in: Dataset):
    assert len(set.union(*wearers(built_in))) == built_in.subjects == 12
    assert len(built_in.labels) == 18
    assert embedded.RECORDINGS.stat().st_size <= 2_500_000
    assert built_in.split == "subject"
    assert built_in.train.x.shape[1:] == (200, 3)
    assert built_in.train.x.dtype == torch.float32


def test_the_embedded_test_people_are_those_of_fold_0(built_in: Dataset):
    fold = json.loads(embedded.SPLITS.read_text())["folds"]["0"]
    assert wearers(built_in)[2] == set(fold)


@pytest.mark.parametrize("fold", [0, 1, 4])
def test_nobody_is_on_two_sides(fold: int):
    train, calibrate, test = wearers(load_dataset(Config(fold=fold)))
    assert train and calibrate and test
    assert not (train & calibrate or train & test or calibrate & test)


def test_every_label_is_trained_on(built_in: Dataset):
    assert set(built_in.train.y.tolist()) == set(range(18))


def test_training_windows_lie_denser_than_those_tested(tmp_path: Path):
    path = written(tmp_path, *people("a", "b", "c", "d"))
    sparse = load_dataset(replace(CONFIG, data=path, train_hop_s=2.0))
    dense = load_dataset(replace(CONFIG, data=path))
    assert len(sparse.train) == 2 * 2 * 29
    assert len(dense.train) == 2 * 2 * 57
    assert len(dense.test) == len(sparse.test) == 2 * 29


@pytest.mark.parametrize("name", ["a", ""])
def test_a_single_wearer_is_split_in_time_with_a_guard_and_a_loud_warning(name: str, tmp_path: Path):
    data = load_dataset(replace(CONFIG, data=written(tmp_path, *people(name))))
    assert (data.split, data.subjects) == ("time", 1)
    assert any("WARNING" in notice and "one wearer" in notice for notice in data.notices)
    for label in (0, 1):
        spans = []
        for part in (data.train, data.calibrate, data.test):
            times = 1000 * part.x[part.y == label][:, :, 0]
            spans.append((float(times.min()), float(times.max())))
        for before, after in itertools.pairwise(spans):
            assert after[0] >= before[1]  # no sample is on both sides
            # The last window before starts at least a window earlier than the first after.
            assert after[0] - (before[1] - 4.0) >= 4.0 - 0.06


def test_time_split_keeps_the_guard_also_across_recordings_of_one_label(tmp_path: Path):
    parts = [recording(i, "a", i % 2, 20.0, begin=100.0 * i) for i in range(8)]
    data = load_dataset(replace(CONFIG, data=written(tmp_path, *parts)))
    seen = [set((part.x[:, :, 0] * 1000).round(decimals=2).flatten().tolist()) for part in
            (data.train, data.calibrate, data.test)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_with_two_wearers_one_tests_and_the_others_own_time_calibrates(tmp_path: Path):
    data = load_dataset(replace(CONFIG, data=written(tmp_path, *people("a", "b"))))
    assert (data.split, data.subjects) == ("subject", 2)
    assert wearers(data) == [{"b"}, {"b"}, {"a"}]
    for label in (0, 1):
        before = data.train.x[data.train.y == label][:, :, 0].max()
        after = data.calibrate.x[data.calibrate.y == label][:, :, 0].min()
        assert after >= before


def test_windows_without_a_label_are_not_trained_on(tmp_path: Path):
    whole = load_dataset(replace(CONFIG, data=written(tmp_path, *people("a", "b", "c"))))
    nameless = [recording(100 + i, name, -1) for i, name in enumerate("abc")]
    data = load_dataset(replace(CONFIG, data=written(tmp_path, *people("a", "b", "c"), *nameless)))
    assert [len(part) for part in (data.train, data.calibrate, data.test)] == [
        len(part) for part in (whole.train, whole.calibrate, whole.test)
    ]


def test_a_label_of_which_no_window_exists_is_left_out(tmp_path: Path):
    short = recording(50, "a", 1, seconds=2.0)
    parts = [replace(r, label=r.label * 2) for r in people("a", "b", "c")]
    data = load_dataset(replace(CONFIG, data=written(tmp_path, *parts, short, labels=("rest", "glimpse", "run"))))
    assert data.labels == ("rest", "run")
    assert set(data.train.y.tolist()) == {0, 1}


def test_a_label_that_no_training_person_has_is_refused_by_name(tmp_path: Path):
    parts = [r for r in people("a", "b", "c", "d") if r.subject == "a" or r.label[0] == 0]
    with pytest.raises(BadInput, match="no training person has label 'run'"):
        load_dataset(replace(CONFIG, data=written(tmp_path, *parts)))


def test_a_file_without_labels_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no row has a label"):
        load_dataset(replace(CONFIG, data=written(tmp_path, recording(0, "a", -1))))


def test_a_single_label_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="at least two labels"):
        load_dataset(replace(CONFIG, data=written(tmp_path, recording(0, "a", 0), recording(1, "b", 0))))


def test_recordings_shorter_than_a_window_are_refused(tmp_path: Path):
    parts = [recording(i, "ab"[i // 2], i % 2, seconds=3.0) for i in range(4)]
    with pytest.raises(BadInput, match="--window-s"):
        load_dataset(replace(CONFIG, data=written(tmp_path, *parts)))


def test_a_single_wearer_with_too_little_time_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="no windows left to"):
        load_dataset(replace(CONFIG, data=written(tmp_path, *(recording(i, "a", i, seconds=6.0) for i in (0, 1)))))


def test_a_fold_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(BadInput, match=r"fold 9 is not in the split.*0, 1, 2, 3, 4"):
        load_dataset(Config(fold=9))


def test_a_split_file_decides_who_tests(tmp_path: Path):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"folds": {"0": ["d"], "1": ["a", "b", "c"]}}))
    data = load_dataset(replace(CONFIG, data=written(tmp_path, *people("a", "b", "c", "d")), split=str(split)))
    assert wearers(data)[2] == {"d"}


def test_a_split_of_other_people_is_refused(tmp_path: Path):
    data = written(tmp_path, *people("a", "b", "c"))
    with pytest.raises(BadInput, match="check --split"):
        load_dataset(replace(CONFIG, data=data, split=str(embedded.SPLITS)))


def test_rotations_are_orthonormal_and_turn_right_handed():
    generator = torch.Generator().manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=-1)
    turns = rotation(axis, 3 * torch.randn(50, generator=generator))
    assert torch.allclose(turns @ turns.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(50), atol=1e-5)
    quarter = rotation(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([torch.pi / 2]))[0]
    assert torch.allclose(quarter @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_a_turned_watch_measures_the_same_gravity():
    x = torch.randn(20, 40, 3, generator=torch.Generator().manual_seed(1))
    turned = augment(x, 30.0, 0.0, torch.Generator().manual_seed(2))
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5)
    assert (turned - x).abs().max() > 0.1
    # One turn a window: what lay at an angle to each other still does.
    assert torch.allclose(turned @ turned.mT, x @ x.mT, atol=1e-4)


def test_gain_scales_a_whole_window():
    x = torch.randn(20, 40, 3, generator=torch.Generator().manual_seed(1))
    ratio = augment(x, 0.0, 0.1, torch.Generator().manual_seed(2)) / x
    assert ratio.std(dim=(1, 2)).max() < 1e-3
    assert ratio.mean((1, 2)).std() > 0.05


def test_half_of_the_windows_are_flat_in_places_and_nothing_else_changes():
    x = torch.randn(400, 200, 3, generator=torch.Generator().manual_seed(1))
    found = flattened(x, torch.Generator().manual_seed(2))
    flat = (found != x).any(-1)
    assert torch.equal(flat, (found == x.mean(1, keepdim=True)).all(-1))
    touched = flat.any(1)
    assert 0.4 < touched.float().mean() < 0.6
    share = flat[touched].float().mean(1)
    assert 0.1 < share.mean() < 0.25 and share.max() <= 0.305
    assert flat[touched].float().mean(0).min() > 0.02  # anywhere in the window


def test_half_of_the_windows_have_noise_as_often_faint_as_strong_and_no_more_than_asked_for():
    x = torch.randn(2000, 100, 3, generator=torch.Generator().manual_seed(1))
    deviation = (noised(x, 0.1, torch.Generator().manual_seed(2)) - x).flatten(1).std(1)
    touched = deviation[deviation > 0]
    assert 0.45 < len(touched) / len(x) < 0.55
    assert touched.min() > 0.1 * 0.03 * 0.8 and touched.max() < 0.1 * 1.2
    assert touched.median().item() == pytest.approx(0.1 * 0.03**0.5, rel=0.15)  # the middle, in logarithm
    assert noised(x, 0.0, torch.Generator()) is x


def test_mixtures_are_of_two_windows_by_share():
    x = torch.randn(20, 40, 3, generator=torch.Generator().manual_seed(1))
    found, share, other = mixed(x, torch.Generator().manual_seed(2))
    assert sorted(other.tolist()) == list(range(20))
    assert share.min() < 0.2 and share.max() > 0.8
    for i in range(20):
        torch.testing.assert_close(found[i], share[i] * x[i] + (1 - share[i]) * x[other[i]])


def test_on_the_other_arm_only_the_axis_along_it_is_turned_round():
    x = torch.randn(20, 40, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mirrored(x, "y"), x * torch.tensor([1.0, -1.0, 1.0]), rtol=0, atol=0)
    assert torch.equal(mirrored(mirrored(x, "x"), "x"), x)


def test_half_of_the_mixed_windows_are_mirrored_where_the_forearm_is_known():
    lying = torch.tensor([1.0, 0.0, 0.0]).expand(400, 40, 3)  # gravity along the forearm, in every window
    for forearm, least, most in ((None, 0.0, 0.01), ("x", 0.4, 0.6), ("y", 0.0, 0.2)):
        found, share, other = mixtures(lying, torch.Generator().manual_seed(3), forearm)
        own = found[share > 0.8]
        assert least <= (own[..., 0].mean(1) < 0).float().mean() <= most, forearm
        assert len(found) == len(other) == 400


def test_augmentation_comes_from_its_generator_alone():
    x = torch.randn(4, 10, 3)
    first, again, other = (augment(x, 10.0, 0.1, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_windows_without_labels_are_taken_from_their_own_file_whatever_its_labels(tmp_path: Path):
    data = written(tmp_path, *people("a", "b", "c", "d"))
    folder = tmp_path / "more"
    folder.mkdir()
    without = [replace(one, label=one.label * 0 - 1) for one in people("e")]
    more = written(folder, *without)
    loaded = load_dataset(replace(CONFIG, data=data, unlabelled=more))
    assert loaded.unlabelled is not None and loaded.unlabelled.shape == (2 * 29, 80, 3)
    assert not any("WARNING" in notice for notice in loaded.notices)
    assert load_dataset(replace(CONFIG, data=data)).unlabelled is None


def test_people_who_calibrate_or_are_tested_and_are_seen_without_labels_are_named(tmp_path: Path):
    data = written(tmp_path, *people("a", "b", "c", "d"))
    loaded = load_dataset(replace(CONFIG, data=data, unlabelled=data))
    _, (calibrating,), (tested,) = wearers(loaded)
    warnings = [notice for notice in loaded.notices if "WARNING" in notice]
    assert any(f"tested too ({tested})" in warning for warning in warnings)
    assert any(f"calibrate too ({calibrating})" in warning for warning in warnings)


def test_recordings_too_short_for_a_window_are_refused_by_their_file(tmp_path: Path):
    folder = tmp_path / "more"
    folder.mkdir()
    short = written(folder, recording(0, "e", 0, seconds=2.0))
    with pytest.raises(BadInput, match=r"more/recordings\.parquet: no uninterrupted stretch of 4 s"):
        load_dataset(replace(CONFIG, data=written(tmp_path, *people("a", "b", "c", "d")), unlabelled=short))
