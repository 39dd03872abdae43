"""The numbers of a bank's report: a probe of what sub-actions say of their label, and maps in two dimensions."""

import sys

import numpy as np
import pytest
import torch

from mmvq_bridge.command import BadInput
from mmvq_train.text import probe as module
from mmvq_train.text.flatten import flatten
from mmvq_train.text.probe import CONTROLS, ProbeResult, probe

ACTIVITIES, WIDTH, HIDDEN = 12, 8, 16


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def unrelated(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Three sub-actions for each activity, and labels that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    return [unit(rng.normal(size=(3, WIDTH))) for _ in range(ACTIVITIES)], unit(rng.normal(size=(ACTIVITIES, WIDTH)))


def related(seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Labels that are a linear function of the sub-actions, which tell a few things about an activity."""
    rng = np.random.default_rng(seed)
    told = rng.normal(size=(ACTIVITIES, 4))
    sub_actions = list(unit(np.stack([told @ rng.normal(size=(4, WIDTH)) for _ in range(3)], axis=1)))
    return sub_actions, unit(np.stack(sub_actions).reshape(ACTIVITIES, -1) @ rng.normal(size=(3 * WIDTH, WIDTH)))


def by_control(found: list[ProbeResult]) -> dict[str, ProbeResult]:
    return {result.control: result for result in found}


# The probe ------------------------------------------------------------------------------------------------------


def test_where_sub_actions_determine_the_label_an_unseen_activity_is_guessed_and_no_control_reaches_that() -> None:
    found = by_control(probe(*related(), HIDDEN, repeats=4))
    real, others = found["real"], [found["shuffled"], found["random"]]
    assert real.cosine > 0.7
    assert real.rank < 2.5
    for other in others:
        assert other.cosine < 0.4
        assert other.rank > 4  # 6.5 by chance
        assert other.p == 1 / 5  # none of the four


def test_where_sub_actions_have_nothing_to_do_with_labels_an_unseen_one_is_guessed_no_better_than_by_chance() -> None:
    found = [by_control(probe(*unrelated(seed), HIDDEN, repeats=1))["real"] for seed in range(12)]
    assert abs(np.mean([real.cosine for real in found])) < 0.12
    assert np.mean([real.rank for real in found]) == pytest.approx((ACTIVITIES + 1) / 2, abs=0.8)


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    data = related()
    one, two, other = (probe(*data, HIDDEN, seed=seed, repeats=2) for seed in (3, 3, 4))
    assert one == two
    assert by_control(one)["real"].cosine != by_control(other)["real"].cosine
    assert by_control(one)["shuffled"].cosine != by_control(other)["shuffled"].cosine


def test_each_control_has_its_result_and_p_counts_the_real_text_in() -> None:
    for seed in range(4):
        found = probe(*unrelated(seed), 4, seed=seed, repeats=3)
        assert [result.control for result in found] == list(CONTROLS)
        assert {result.hidden for result in found} == {4}
        assert found[0].p == 1
        for result in found:
            assert result.p in (1 / 4, 2 / 4, 3 / 4, 1)
            assert -1 <= result.cosine <= 1
            assert 1 <= result.rank <= ACTIVITIES


def test_two_activities_are_enough() -> None:
    found = probe([np.eye(2, 4, dtype=np.float32), np.eye(4, dtype=np.float32)[2:]], np.eye(2, 4, dtype=np.float32), 4)
    assert all(np.isfinite([result.cosine, result.rank, result.p]).all() for result in found)


def test_the_number_of_threads_is_afterwards_as_it_was() -> None:
    torch.set_num_threads(2)
    try:
        probe(*unrelated(0), 4, repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_first_weights_are_drawn_without_touching_anybody_elses_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    probe(*unrelated(0), 4, repeats=1)
    torch.testing.assert_close(torch.rand(3), expected)


# Its controls ---------------------------------------------------------------------------------------------------


def numbered(*counts: int) -> list[np.ndarray]:
    """Activities with so many sub-actions, all rows different."""
    rows = np.arange(sum(counts) * 2, dtype=np.float32).reshape(-1, 2)
    return np.split(rows, np.cumsum(counts)[:-1])


def test_fewer_sub_actions_than_the_most_are_repeated_from_the_first_on() -> None:
    x = module._controlled(numbered(5, 2, 3), "real", np.random.default_rng(0))
    assert x.dtype == np.float32
    assert x.reshape(3, 5, 2)[:, :, 0].tolist() == [[0, 2, 4, 6, 8], [10, 12, 10, 12, 10], [14, 16, 18, 14, 16]]


@pytest.mark.parametrize("count", [2, 3, 4, 18])
def test_a_derangement_leaves_nothing_in_its_place(count: int) -> None:
    rng = np.random.default_rng(0)
    drawn = [module._derangement(count, rng) for _ in range(30)]
    for order in drawn:
        assert sorted(order) == list(range(count))
        assert (order != np.arange(count)).all()
    assert len({tuple(order) for order in drawn}) > 1 or count == 2  # of two there is one only


def test_the_shuffled_control_gives_each_set_of_sub_actions_whole_to_another_activity() -> None:
    sub_actions = numbered(3, 3, 3, 3)
    real = module._controlled(sub_actions, "real", np.random.default_rng(0))
    shuffled = module._controlled(sub_actions, "shuffled", np.random.default_rng(0))
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, real))
    assert (shuffled != real).any(axis=1).all()


def test_the_random_control_keeps_which_phrases_are_the_same_and_nothing_else() -> None:
    one, two, three = numbered(3, 3, 2)
    two = np.stack([two[0], one[2], one[0]])  # shares two phrases with the first, in other places
    x = module._controlled([one, two, three], "random", np.random.default_rng(0)).reshape(3, 3, 2)
    np.testing.assert_allclose(np.linalg.norm(x, axis=2), 1, atol=1e-6)
    np.testing.assert_array_equal(x[1, 1], x[0, 2])
    np.testing.assert_array_equal(x[1, 2], x[0, 0])
    np.testing.assert_array_equal(x[2, 2], x[2, 0])  # repeated, as in the real one
    assert len(np.unique(x.reshape(-1, 2), axis=0)) == 6
    again = module._controlled([one, two, three], "random", np.random.default_rng(1)).reshape(3, 3, 2)
    assert (again != x).all()


# Maps -----------------------------------------------------------------------------------------------------------


def test_five_rows_are_mapped_by_three_methods_and_the_same_rows_alike_each_time() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed")  # compiles for half a minute
    rows = unit(np.random.default_rng(0).normal(size=(5, WIDTH)))
    one, two = flatten(rows), flatten(rows.copy())
    assert list(one) == ["PCA", "t-SNE", "UMAP"]
    for method, points in one.items():
        assert points.shape == (5, 2)
        assert np.isfinite(points).all()
        assert len(np.unique(points, axis=0)) == 5
        np.testing.assert_array_equal(points, two[method])
    centred = rows - rows.mean(axis=0)
    _, _, directions = np.linalg.svd(centred)
    np.testing.assert_allclose(np.abs(one["PCA"]), np.abs(centred @ directions[:2].T), atol=1e-5)


def test_without_umap_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)  # as if not installed
    with pytest.raises(BadInput, match=r"pip install 'mmvq\[bank\]'"):
        flatten(np.eye(5, dtype=np.float32))
