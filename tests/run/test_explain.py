import io

import pytest
from wearing import frames, hello, play, records, signal

from mmvq_run.explain import backed_sub_action, in_words
from mmvq_run.sinks import JsonLines, TextLines


def piece(t, length, contribution, sub_action=None, codes=(17, 3, 40)):
    return {"t": t, "length": length, "codes": list(codes), "sub_action": sub_action, "contribution": contribution}


def test_adjacent_alike_pieces_are_one_in_words_and_add_up():
    because = [piece(4.2, 1.0, 1.5, "wrist swings forward"), piece(5.2, 1.0, 0.4, "wrist swings forward")]
    assert in_words(because) == "wrist swings forward (4.2-6.2 s, +1.9)"


def test_alike_pieces_apart_stay_apart_and_the_strongest_comes_first():
    because = [piece(1.0, 1.0, 0.5, "a"), piece(8.0, 1.0, 2.0, "a"), piece(4.0, 1.0, -0.25)]
    assert in_words(because) == "a (8.0-9.0 s, +2.0), a (1.0-2.0 s, +0.5), shape 17·3·40 (4.0-5.0 s, -0.2)"


def test_a_code_without_a_tested_name_is_never_called_by_one():
    assert in_words([piece(0.0, 1.0, 1.0, None, (7,))]) == "shape 7 (0.0-1.0 s, +1.0)"


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
    assert lines[2] == "10.0 s  sitting 92 %  because: arm rests (0.0-3.0 s, +0.0)"
    assert "12.0 s  ** sitting began at 0.0 s" in lines
    assert lines[-1] == "45.0 s  end: 36 windows, 0 samples lost, 0 bad frames"
