import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wearing import frames, hello, play, records, signal

from mmvq_run.explain import Piece, backed_sub_action, in_words, pieces_for, reasons
from mmvq_run.model import Prediction
from mmvq_run.sinks import JsonLines, TextLines


def piece(t, length, contribution, sub_action=None, codes=(17, 3, 40), still=False):
    return Piece(t, length, codes, (None,) * len(codes), sub_action, None, contribution, still, "axes")


def words(*pieces):
    return in_words(reasons(pieces))


def test_adjacent_alike_pieces_are_one_in_words_and_add_up():
    both = piece(5.2, 1.0, 0.4, "wrist swings forward"), piece(4.2, 1.0, 1.5, "wrist swings forward")
    assert words(*both) == "wrist swings forward (4.2-6.2 s, +1.9)"


def test_a_piece_inside_a_longer_one_like_it_does_not_shorten_it():
    assert words(piece(0.0, 4.0, 1.0, "a"), piece(1.0, 1.0, 0.5, "a")) == "a (0.0-4.0 s, +1.5)"


def test_alike_pieces_apart_stay_apart_and_the_strongest_comes_first():
    pieces = piece(1.0, 1.0, 0.5, "a"), piece(8.0, 1.0, 2.0, "a"), piece(4.0, 1.0, -0.25)
    assert words(*pieces) == "a (8.0-9.0 s, +2.0) and a (1.0-2.0 s, +0.5)"


def test_what_speaks_against_the_label_is_told_where_it_counts_and_never_merged_with_what_speaks_for_it():
    pieces = piece(0.0, 1.0, 1.0, "a"), piece(1.0, 1.0, -0.5, "a"), piece(2.0, 1.0, -0.1, "b")
    assert words(*pieces) == "a (0.0-1.0 s, +1.0); against it a (1.0-2.0 s, -0.5)"


def test_at_most_three_reasons_are_told_and_none_that_hardly_counts():
    pieces = [piece(2.0 * i, 1.0, counted, "a") for i, counted in enumerate((1.0, 0.9, 0.1, 0.8, 0.7))]
    assert words(*pieces) == "a (0.0-1.0 s, +1.0), a (2.0-3.0 s, +0.9) and a (6.0-7.0 s, +0.8)"
    assert words(*pieces[:3]) == "a (0.0-1.0 s, +1.0) and a (2.0-3.0 s, +0.9)"


def test_a_label_for_which_no_piece_speaks_is_not_given_reasons():
    assert words(piece(0.0, 1.0, -0.5, "a")) == words() == "no piece speaks for it"


def test_a_code_without_a_tested_name_is_never_called_by_one():
    assert words(piece(0.0, 1.0, 1.0, None, (7,))) == "shape 7 (0.0-1.0 s, +1.0)"


def test_a_piece_that_hardly_moves_is_called_still_and_not_by_what_its_noise_resembles():
    assert words(piece(0.0, 1.0, 1.0, "hand scratches the face", still=True)) == "hand nearly still (0.0-1.0 s, +1.0)"


SHORT = [(0.0, 1.0, "axes", 0.01), (1.0, 1.0, "axes", 0.01)]


@pytest.mark.parametrize(
    ("pieces", "still"),
    [
        (SHORT, [True, True]),
        ([(0.0, 2.0, "gravity", 0.01)], [True]),
        ([(0.0, 1.0, "axes", 0.03)], [False]),
        ([(0.0, 10.0, "axes", 0.01)], [False]),  # its points are a third of a second apart
        ([(0.0, 1.0, "rhythm", 0.01)], [False]),  # shaken faster than 6 Hz it would say the same
        ([(0.0, 2.0, "axes", 0.01), (0.0, 2.0, "rhythm", 0.01)], [True, True]),
        ([*SHORT, (0.0, 2.1, "rhythm", 0.01)], [True, True, False]),  # nobody has seen its end
        ([*SHORT, (0.0, 2.0, "axes", 0.03)], [True, True, False]),  # a slow turn
        ([SHORT[0], (1.0, 1.0, "axes", 0.03), (0.0, 10.0, "rhythm", 0.01)], [True, False, False]),
    ],
)
def test_a_piece_is_told_as_still_where_somebody_has_seen_that_nothing_moves(pieces: list, still: list[bool]):
    count = len(pieces)
    metadata = SimpleNamespace(
        code_names=(None,) * count, code_views=tuple(view for _, _, view, _ in pieces), sub_actions=("hand waves",)
    )
    seen = Prediction(
        probabilities=np.ones(1), unknown_score=0.0, codes=np.arange(count)[:, None].repeat(3, 1),
        margins=np.ones((count, 3)),
        attributes=np.array([[[t, length, 1.0, scale]] * 3 for t, length, _, scale in pieces]),
        contributions=np.arange(count, 0.0, -1)[:, None], sub_actions=np.ones((count, 1)),
    )
    assert [piece.still for piece in pieces_for(seen, metadata, 0, 5.0)] == still


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(1, 4), st.floats(-2, 2), st.sampled_from([None, "a", "b"]), st.booleans()
        )
    )
)
def test_reasons_count_together_what_the_pieces_count(some):
    pieces = [piece(float(t), float(length), counted, what, still=still) for t, length, counted, what, still in some]
    found = reasons(pieces)
    assert sum(reason.counted for reason in found) == pytest.approx(sum(p.contribution for p in pieces), abs=1e-9)
    assert [reason.counted for reason in found] == sorted((reason.counted for reason in found), reverse=True)


@pytest.mark.parametrize(
    ("probabilities", "names", "told"),
    [
        ([0.7, 0.2, 0.1], ["a"], 0),
        ([0.5, 0.4, 0.1], ["b", None, "c"], 1),  # the likelier of two tested names
        ([0.7, 0.2, 0.1], ["b"], None),  # the token says a, its code b: no words
        ([0.7, 0.2, 0.1], [None, None, None], None),
        ([0.7, 0.2, 0.1], ["foreign"], None),
    ],
)
def test_words_are_told_only_where_code_and_token_agree(probabilities, names, told):
    assert backed_sub_action(probabilities, names, ("a", "b", "c")) == told


def test_lines_for_people_and_lines_for_programs_tell_the_same_events(model):
    events = play(model, records([hello(), *frames(signal(("sitting", 20), ("walking", 25)))]))
    text, jsonl = io.BytesIO(), io.BytesIO()
    for event in events:
        TextLines(text).write(event)
        JsonLines(jsonl).write(event)
    lines = text.getvalue().decode().splitlines()
    assert len(lines) == len(jsonl.getvalue().splitlines()) == len(events)
    assert lines[0] == "0.0 s  session: test from 2026-11-22T10:00:00Z, model tiny"
    assert lines[2] == "10.0 s  sitting 92 %, because no piece speaks for it"
    assert "29.0 s  walking 84 %, because shape 1·1·1 (20.0-29.0 s, +2.2)" in lines
    assert "12.0 s  ** sitting began at 0.0 s" in lines
    assert lines[-1] == "45.0 s  end: 36 windows, 0 samples lost, 0 bad frames"
