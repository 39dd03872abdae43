"""What a bank is warned of: each kind of warning with its line, and the wordings that are all right."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmvq_train.text.bank import parse_bank
from mmvq_train.text.check import Warned, check_bank, observable_share
from mmvq_train.text.claims import KINDS, Verdict

Root = dict[str, Any]
Change = Callable[[Root], None]


def activity(text: str, sentence: str, keywords: list[str], *arms: tuple[str, str]) -> Root:
    return {
        "text": text,
        "keywords": keywords,
        "sentence": sentence,
        "affirmative": [f"{text} moves the whole arm", f"{text} takes a while"],
        "negative": [f"{text} is no running about"],
        "sub_actions": [{"arm": arm, "leg": leg, "wrist_observable": True} for arm, leg in arms],
    }


CLEAN: Root = {
    "schema": 1,
    "name": "yard",
    "provenance": {"author": "a person", "prompt": "", "model": "", "date": ""},
    "activities": {
        "sawing": activity(
            "sawing a plank",
            "A person saws a plank in long strokes.",
            ["saw", "long stroke"],
            ("fist pushes the saw forward", "front knee bends"),
            ("fist pulls the saw back", "rear knee bends"),
            ("saw teeth rattle the wrist", "both feet stay"),
            ("elbow opens and closes", ""),
            ("forearm waits between strokes", "body leans forward"),
            ("hand turns the plank", "feet step aside"),
        ),
        "raking": activity(
            "raking the leaves",
            "A person rakes leaves into a heap.",
            ["rake", "leaves"],
            ("both arms pull the rake", "weight shifts back"),
            ("rake hits a stone", "weight shifts forward"),
            ("wrist lifts the rake", "one foot steps back"),
            ("hand rests on the handle", "feet stand apart"),
            ("elbow swings out", "hips turn"),
        ),
    },
}


def check(change: Change | None = None, verdicts: tuple[Verdict, ...] = ()) -> tuple[list[Warned], str]:
    """The clean bank's warnings after a change, and its text."""
    root = copy.deepcopy(CLEAN)
    if change:
        change(root)
    text = json.dumps(root, indent=1)
    return check_bank(parse_bank(text.encode(), Path("yard.json")), text, verdicts), text


def line_of(text: str, part: str) -> int:
    """The line of the only place where `part` stands."""
    assert text.count(part) == 1, part
    return 1 + text[: text.index(part)].count("\n")


def set_at(*path: str | int, to: object) -> Change:
    """Set a value below the activities."""

    def change(root: Root) -> None:
        node: Any = root["activities"]
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = to

    return change


def arm(phrase: str, observable: bool = True) -> Change:
    """Another phrase for the third sub-action of sawing."""
    return set_at("sawing", "sub_actions", 2, to={"arm": phrase, "leg": "", "wrist_observable": observable})


def raking(*path: str | int, to: object) -> Change:
    return set_at("raking", *path, to=to)


def words(count: int) -> str:
    return " ".join(f"w{chr(97 + i % 26)}" for i in range(count))


ARM = "sawing.sub_actions[2].arm"
LEG = "raking.sub_actions[4].leg"
TO_LEG = ("sub_actions", 4, "leg")


def test_of_a_clean_bank_nothing_is_said() -> None:
    assert check() == ([], json.dumps(CLEAN, indent=1))


# fmt: off
POOR = [
    # adverbs
    (arm("fist moves Quickly"), "fist moves", ARM, "'quickly' is an adverb: say what moves, not how"),
    (arm("fist moves again"), "fist moves", ARM, "'again' is an adverb"),
    (raking(*TO_LEG, to="hips slowly turn"), "hips slowly", LEG, "'slowly' is an adverb"),
    # purpose clauses
    (arm("hand reaches out to grab the saw"), "hand reaches", ARM, "'to grab' says what for: say what moves"),
    (arm("elbow bends so that the fist rises"), "elbow bends", ARM, "'so that' says what for"),
    (arm("wrist turns in order to free the saw"), "wrist turns", ARM, "'in order to' says what for"),
    (arm("wrist turns so as to free the saw"), "wrist turns", ARM, "'so as to' says what for"),
    (arm("fist rises for throwing"), "fist rises", ARM, "'for throwing' says what for"),
    (arm("hand tilts to pour"), "hand tilts", ARM, "'to pour' says what for"),
    (raking(*TO_LEG, to="hips turn to balance"), "hips turn", LEG, "'to balance' says what for"),
    # what a wrist cannot feel
    (arm("hand Grips the saw"), "hand Grips", ARM, "a wrist cannot feel 'grips': say what it does"),
    (arm("chest rises with each breath"), "chest rises", ARM, "a wrist cannot feel 'breath'"),
    # what stands there twice
    (arm("Fist  PUSHES the saw  forward"), "Fist  PUSHES", ARM, "doubles number 1: write another"),
    (raking("keywords", to=["rake", "garden", "  RAKE "]), "  RAKE ", "raking.keywords[2]", "doubles number 1"),
    (raking("negative", to=["The arm hangs down.", "Nothing flies about here.", "the arm  hangs down."]),
     "the arm  hangs", "raking.negative[2]", "doubles number 1"),
    # lengths
    (arm("rattles"), "rattles", ARM, "1 word: 2 to 10 make a good target"),
    (arm(words(11)), words(11), ARM, "11 words: 2 to 10"),
    (raking("sentence", to="A person rakes."), "A person rakes.", "raking.sentence", "3 words: 4 to 40"),
    (raking("sentence", to=words(41)), words(41), "raking.sentence", "41 words: 4 to 40"),
    (raking("keywords", 1, to=words(5)), words(5), "raking.keywords[1]", "5 words: 1 to 4"),
    (raking("affirmative", 1, to="Leaves fly up."), "Leaves fly", "raking.affirmative[1]", "3 words: 4 to 40"),
    (raking("negative", 0, to=words(41)), words(41), "raking.negative[0]", "41 words: 4 to 40"),
    # what is not there
    (raking("sentence", to=" "), '"sentence": " "', "raking.sentence", "empty: the short text stands in for it"),
    (raking("keywords", to=[]), '"keywords": []', "raking.keywords", "empty: "),
    (raking("affirmative", to=[]), '"affirmative": []', "raking.affirmative", "empty: "),
    (raking("negative", to=[]), '"negative": []', "raking.negative", "empty: "),
    # what does not tell activities apart
    (raking("sentence", to="a person saws  a PLANK in long strokes."), "a person saws", "raking.sentence",
     "the same as that of 'sawing': say what differs"),
    (raking("text", to="Sawing a plank"), '"Sawing a plank"', "raking.text", "the same as that of 'sawing'"),
]
# fmt: on


@pytest.mark.parametrize(("change", "on_line", "place", "what"), POOR)
def test_a_poor_text_is_warned_of_once_on_its_own_line(change: Change, on_line: str, place: str, what: str) -> None:
    warned, text = check(change)
    assert [(w.line, w.place) for w in warned] == [(line_of(text, on_line), f"activities.{place}")]
    assert warned[0].what.startswith(what)


@pytest.mark.parametrize(
    "phrase",
    [
        "hand rests on the belly",  # -ly, and no adverb
        "arms fly apart",
        "wobbly jelly shakes the hand",
        "arm swings back and forth",
        "hard landing jolts the arm",
        "forearm stays still",
        "fast swing ends at the hip",
        "hand lifts to the mouth",  # where to, not what for
        "arm swings to the side",
        "fist moves from side to side",
        "wrist turns to the left",
        "hand waits for the ball",
        "fist rises for the landing",
        "arm turns from push to pull",
        "hand comes to rest",
        "watch bounces on the wrist",
        "arm pulls the dolly",
        "arm stays so straight",
        "seller shifts the feeler",  # parts of words that a wrist cannot feel
        "hands  push  the  saw",
        words(2),
        words(10),
    ],
)
def test_words_that_only_look_like_adverbs_or_purposes_are_let_pass(phrase: str) -> None:
    assert check(arm(phrase))[0] == []


def test_two_faults_of_a_phrase_are_two_warnings_on_one_line() -> None:
    warned, text = check(arm("hand firmly grips the saw to push the plank"))
    assert [w.what.split(":")[0] for w in warned] == [
        "'firmly' is an adverb",
        "'to push' says what for",
        "a wrist cannot feel 'grips'",
    ]
    assert {w.line for w in warned} == {line_of(text, "hand firmly")}


def test_what_the_bank_says_a_wrist_cannot_feel_may_be_called_so() -> None:
    assert check(arm("hand grips the saw", observable=False))[0] == []


def test_the_same_words_in_two_activities_are_no_doubles() -> None:
    assert check(raking("sub_actions", 1, "arm", to="fist pushes the saw forward"))[0] == []
    assert check(raking("keywords", 0, to="saw"))[0] == []


def test_an_activity_of_which_the_wrist_sees_less_than_half_is_warned_of() -> None:
    def unseen(count: int) -> Change:
        def change(root: Root) -> None:
            for sub_action in root["activities"]["sawing"]["sub_actions"][:count]:
                sub_action["wrist_observable"] = False

        return change

    assert check(unseen(3))[0] == []
    warned, text = check(unseen(4))
    line = 1 + text[: text.index('"sub_actions"')].count("\n")  # sawing comes first
    assert warned == [Warned(line, "activities.sawing.sub_actions", "a wrist can see 2 of 6: write more that it can")]


def test_the_observable_share_is_of_all_sub_actions() -> None:
    root = copy.deepcopy(CLEAN)
    for i in (0, 3, 4):
        root["activities"]["raking"]["sub_actions"][i]["wrist_observable"] = False
    assert observable_share(parse_bank(json.dumps(root).encode(), Path("yard.json"))) == 8 / 11


def verdict(label: str, number: int, kind: str, value: float) -> Verdict:
    phrase = CLEAN["activities"][label]["sub_actions"][number]["arm"]
    return Verdict(label, number, phrase, next(k for k in KINDS if k.name == kind), value)


def test_a_claim_that_the_recordings_do_not_bear_out_is_warned_of_with_what_was_measured() -> None:
    holds, fails = verdict("sawing", 2, "impact", 0.4), verdict("raking", 1, "impact", 0.1234)
    warned, text = check(verdicts=(holds, fails))
    assert [(w.line, w.place) for w in warned] == [
        (line_of(text, "rake hits a stone"), "activities.raking.sub_actions[1].arm")
    ]
    assert warned[0].what.startswith("claims impact, which the signal does not show (largest change of acceleration")
    assert ": 0.123, at least 0.4 wanted)" in warned[0].what


def test_warnings_are_in_the_order_of_the_lines_whatever_their_kind() -> None:
    def change(root: Root) -> None:
        root["activities"]["raking"]["keywords"] = []
        root["activities"]["raking"]["sub_actions"][0]["arm"] = "pulls"
        root["activities"]["sawing"]["sub_actions"][5]["arm"] = "hand turns softly"
        root["activities"]["raking"]["text"] = "sawing a plank"
        root["activities"]["sawing"]["sentence"] = ""

    verdicts = (verdict("raking", 3, "stillness", 0.0), verdict("sawing", 4, "stillness", 0.0))
    warned, _ = check(change, verdicts)
    assert [w.place.removeprefix("activities.") for w in warned] == [
        "sawing.sentence",
        "sawing.sub_actions[4].arm",
        "sawing.sub_actions[5].arm",
        "raking.text",
        "raking.keywords",
        "raking.sub_actions[0].arm",
        "raking.sub_actions[3].arm",
    ]
    assert sorted({w.line for w in warned}) == [w.line for w in warned]
