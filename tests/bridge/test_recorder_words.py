"""What people type is words, words are labels of stretches, and the screen shows them."""

import io
import re

import pytest

from mmvq_bridge.command import BadInput
from mmvq_bridge.recorder.keyboard import KeyReader, LineReader
from mmvq_bridge.recorder.labels import Labels, checked_label, parse_keys
from mmvq_bridge.recorder.screen import Screen

S = 1_000_000_000


def labels_of(*words: tuple[float, str]) -> Labels:
    labels = Labels()
    for at, word in words:
        labels.take(at, word)
    return labels


def test_a_label_holds_from_its_word_to_the_next_but_not_while_people_begin_and_stop() -> None:
    labels = labels_of((10, "walking"), (30, "sitting"), (40, ""), (50, "lying"))
    assert labels.stretches(60, 2) == [(12, 28, "walking"), (32, 38, "sitting"), (52, 58, "lying")]
    assert labels.stretches(60, 0) == [(10, 30, "walking"), (30, 40, "sitting"), (50, 60, "lying")]
    assert labels.current == "lying"
    assert Labels().stretches(60, 2) == []


def test_a_label_shorter_than_the_settling_does_not_hold_at_all() -> None:
    assert labels_of((10, "walking"), (14, "sitting")).stretches(30, 2) == [(16, 28, "sitting")]


def test_what_is_taken_back_leaves_its_stretch_without_a_label_and_the_one_before_ended() -> None:
    labels = labels_of((10, "walking"), (30, "sitting"))
    assert labels.take(35, "undo") == "sitting"
    assert labels.current == ""
    assert labels.stretches(60, 2) == [(12, 28, "walking")]
    assert labels.take(36, "undo") == "walking"
    assert labels.take(37, "undo") == ""
    assert labels.stretches(60, 2) == []


def test_an_ended_label_can_be_taken_back_too() -> None:
    assert labels_of((10, "walking"), (30, ""), (35, "undo"), (40, "lying")).stretches(60, 0) == [(40, 60, "lying")]


def test_the_label_that_holds_already_is_no_change() -> None:
    assert labels_of((10, "walking"), (20, "walking"), (30, "")).stretches(60, 2) == [(12, 28, "walking")]


def test_seconds_are_added_up_by_label() -> None:
    labels = labels_of((0, "a"), (10, "b"), (20, "a"), (30, ""))
    assert labels.seconds(40, 1) == {"a": 16, "b": 8}


def test_keys_are_read_with_their_labels() -> None:
    assert parse_keys("w=walking, s=sitting still,1=a=b") == {"w": "walking", "s": "sitting still", "1": "a=b"}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("w=walking,w=waving", "'w' is walking and waving"),
        ("w", "'w' is not KEY=LABEL"),
        ("w=", "'w=' is not KEY=LABEL"),
        ("", "'' is not KEY=LABEL"),
        ("wa=walking", "'wa' is not one key"),
        ("=walking", "'' is not one key"),
        (" =walking", "'' is not one key"),
        ("\x04=walking", "'\\x04' is not one key"),
        ("u=undo", "label 'undo' is what one types to undo"),
        (f"w={'a' * 61}", "has 61 characters"),
    ],
)
def test_keys_that_cannot_be_used_are_named(keys: str, says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)):
        parse_keys(keys)


@pytest.mark.parametrize("label", ["quit", "a\tb", "a\x00b", "a\x1b[2Jb", "marche \ufffd", "a" * 61, "a\nb"])
def test_a_label_that_cannot_be_one_is_refused_in_a_line(label: str) -> None:
    with pytest.raises(BadInput) as error:
        checked_label(label)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


def test_lines_are_typed_and_mended_on_a_terminal() -> None:
    reader = LineReader(terminal=True)
    assert reader.feed("wlak\x7f\x7f\x7falking") == []
    assert reader.text == "walking"
    assert reader.feed("\r") == ["walking"]
    assert reader.feed("\n") == []
    assert reader.feed("sit\x15 lying \n\n\tundo\x1b[A\x1bOB\n\x04") == ["lying", "", "undo", "quit"]
    assert reader.feed("ä\b\r") == [""]


def test_lines_of_a_pipe_are_taken_as_they_are() -> None:
    reader = LineReader(terminal=False)
    assert reader.feed("walking\r\n\r\nsit") == ["walking", ""]
    assert reader.feed("ting\nquit\n") == ["sitting", "quit"]
    assert reader.feed("a\x7fb\n") == ["a\x7fb"]  # and refused as a label
    assert len(reader.feed("x" * 100_000 + "\n")[0]) < 2000


def test_keys_are_words_at_once_and_one_that_is_none_is_told() -> None:
    said: list[str] = []
    reader = KeyReader({"w": "walking", "s": "sitting"}, said.append)
    assert reader.feed("wws \x7f\b\x04") == ["walking", "walking", "sitting", "", "undo", "undo", "quit"]
    assert said == []
    assert reader.feed("W\x1b[Aw") == ["walking"]
    assert said == [f"no key 'W'; {reader.help}"]
    assert "w walking, s sitting, blank no label" in reader.help


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def line(self) -> str:
        """What stands in the last line."""
        return self.getvalue().split("\x1b[2K")[-1]


def test_on_a_terminal_one_line_is_written_over_and_what_is_typed_stands_at_its_end() -> None:
    out = Terminal()
    with Screen(out, "record") as screen:
        screen.show("1 s", S)
        screen.show("too soon", S + 1)
        assert out.line == "1 s"
        screen.echo("walk")
        assert out.line == "1 s > walk"
        screen.say("a notice")
        assert out.getvalue().endswith("record: a notice\n\r\x1b[2K1 s > walk")
        screen.show("x" * 200, 2 * S)
        assert out.line.endswith("x > walk")
        assert len(out.line) == 79
    assert out.line == ""


def test_elsewhere_a_line_every_ten_seconds_stays() -> None:
    out = io.StringIO()
    with Screen(out, "record") as screen:
        for second in range(25):
            screen.show(f"{second} s", (1 + second) * S)
            screen.echo("typed")
    assert out.getvalue() == "record: 10 s\nrecord: 20 s\n"


def test_nobody_who_looks_on_ends_no_recording() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Screen(Gone(), "record") as screen:
        screen.say("a line")
