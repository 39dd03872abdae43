import numpy as np
import pytest
import torch

from mmvq_train.report.matrices import Use, by_peak, evidence, lanes, meaning, shares, usage

# Two windows of three tokens, two of the first length and one of the second, two streams.
CODES = torch.tensor([
    [[0, 1], [1, 1], [2, 2]],
    [[0, 0], [0, 2], [1, 2]],
])
COUNTS = [2, 1]


def test_a_piece_counts_for_its_windows_group_once_for_each_of_its_codes():
    short, long = usage(CODES, COUNTS, 3, np.array([1, 0]), 2)
    np.testing.assert_array_equal(short.count, [[3, 0, 1], [1, 3, 0]])
    np.testing.assert_array_equal(long.count, [[0, 1, 1], [0, 0, 2]])
    np.testing.assert_array_equal(short.pieces, [4, 4])


def test_a_joint_code_counts_once_a_piece():
    (only,) = usage(CODES[:, :2, :1], [2], 3, np.array([0, 0]), 1)
    np.testing.assert_array_equal(only.count, [[3, 1, 0]])


def test_every_code_of_every_token_is_counted_somewhere():
    codes = torch.randint(0, 5, (40, 6, 4), generator=torch.Generator().manual_seed(0))
    parts = usage(codes, [4, 2], 5, np.arange(40) % 7, 7)
    assert [int(part.count.sum()) for part in parts] == [40 * 4 * 4, 40 * 2 * 4]


def test_shares_add_up_over_codes_and_are_zero_for_a_group_without_pieces():
    use = Use(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(use.share, [[0.75, 0.25], [0, 0]])


def test_a_longer_activity_does_not_draw_codes_to_it():
    short, long = Use(np.array([[1, 3], [3, 1], [0, 0]])), Use(np.array([[100, 300], [3, 1], [0, 0]]))
    np.testing.assert_allclose(short.spread, [[0.25, 0.75, 0], [0.75, 0.25, 0]])
    np.testing.assert_allclose(long.spread, short.spread)


def test_a_code_without_pieces_is_spread_over_nothing():
    np.testing.assert_array_equal(Use(np.array([[2, 0], [5, 0]])).spread, [[0.5, 0.5], [0, 0]])


def test_a_code_means_the_average_of_its_pieces_held_against_that_of_all():
    actions = torch.tensor([
        [[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]],
        [[0.6, 0.4], [0.2, 0.8], [0.1, 0.9]],
    ])
    short, long = meaning(CODES, actions, COUNTS, 3)
    np.testing.assert_array_equal(short.pieces, [4, 3, 1])
    np.testing.assert_allclose(short.average, [0.5, 0.5], atol=1e-6)
    # code 0: once in the piece of 0.8, twice in that of 0.6, once in that of 0.2
    np.testing.assert_allclose(short.probability[:, 0], [2.2 / 4, 1.6 / 3, 0.2], atol=1e-6)
    np.testing.assert_allclose(short.lift[2], [0.4, 1.6], atol=1e-6)
    np.testing.assert_allclose(long.probability[0], [0, 0])
    np.testing.assert_allclose(long.lift[0], [0, 0])


def test_without_text_no_sub_action_is_likelier_with_any_code():
    (only,) = meaning(CODES[:, :2], torch.full((2, 2, 4), 0.25), [2], 3)
    np.testing.assert_allclose(only.lift, np.ones((3, 4)))


def test_rows_are_in_order_of_their_peak_with_the_empty_last_and_the_hidden_left_out():
    matrix = np.array([[0, 0, 9], [0, 0, 0], [5, 1, 0], [7, 0, 0], [0, 3, 2], [99, 0, 0]], dtype=float)
    assert by_peak(matrix, np.array([True, True, True, True, True, False])) == [3, 2, 4, 0, 1]


def test_evidence_is_of_the_label_that_was_said_and_objections_count_too():
    contributions = torch.tensor([
        [[1.0, 9.0], [-3.0, 9.0]],
        [[9.0, -2.0], [9.0, 0.5]],
    ])
    np.testing.assert_allclose(evidence(contributions, torch.tensor([0, 1])), [1.5, 1.75])


def test_lengths_share_all_evidence_among_them():
    np.testing.assert_allclose(shares(np.array([1.0, 2.0, 5.0]), [2, 1]), [0.375, 0.625])
    np.testing.assert_allclose(shares(np.zeros(3), [2, 1]), [0, 0])


@pytest.mark.parametrize(
    ("begin", "length", "expected"),
    [
        ([0, 1, 2, 3], 1.0, [0, 0, 0, 0]),
        ([0, 1, 2, 3], 2.0, [0, 1, 0, 1]),
        ([0, 1, 2, 2.5], 2.0, [0, 1, 0, 2]),  # the last piece ends with the window, wherever it then begins
        ([0], 10.0, [0]),
    ],
)
def test_spans_that_overlap_lie_in_lanes_of_their_own(begin, length, expected):
    assert lanes(np.array(begin, dtype=float), length) == expected
