"""The text bank: what is read, what is refused and on which line, and which bank is taken for which labels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvq_bridge.command import BadInput
from mmvq_train.text import (
    Bank,
    auto_bank,
    check_labels,
    load_bank,
    resolve_bank,
    save_bank,
    shipped_bank,
    shipped_banks,
)
from mmvq_train.text.bank import parse_bank
from mmvq_train.text.check import check_bank
from mmvq_train.text.lines import Place, line_numbers, spelt

# fmt: off
SHIPPED = {
    "basicmotions": {"Standing", "Running", "Walking", "Badminton"},
    "epilepsy": {"EPILEPSY", "WALKING", "RUNNING", "SAWING"},
    "geneactiv": {
        "treadmill_1mph", "treadmill_3mph", "treadmill_4mph", "treadmill_6mph", "treadmill_3mph_5pct",
        "treadmill_6mph_5pct", "fold_laundry", "stand_fidget", "brush_teeth_or_hair", "drive_car", "walk_hard_surface",
        "walk_carpet_dress_shoes", "stairs_up", "stairs_down",
    },
    "pamap2": {
        "lying", "sitting", "standing", "walking", "running", "cycling", "nordic_walking", "stairs_up", "stairs_down",
        "vacuuming", "ironing", "rope_jumping",
    },
    "selfback": {
        "downstairs", "jogging", "lying", "sitting", "standing", "upstairs", "walk_fast", "walk_moderate", "walk_slow",
    },
    "wisdm": {
        "walking", "jogging", "stairs", "sitting", "standing", "typing", "teeth", "soup", "chips", "pasta", "drinking",
        "sandwich", "kicking", "catch", "dribbling", "writing", "clapping", "folding",
    },
}
# fmt: on


def write(path: Path, root: object) -> Path:
    path.write_text(json.dumps(root, indent=1), encoding="utf-8")
    return path


def line_of(text: str, part: str) -> int:
    """The line on which `part` stands for the first time."""
    return 1 + text[: text.index(part)].count("\n")


# Shipped banks --------------------------------------------------------------------------------------------------


def test_six_banks_are_shipped() -> None:
    assert set(shipped_banks()) == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_bank_has_its_data_sets_labels_and_every_text_of_each(name: str) -> None:
    bank = load_bank(name)
    assert bank.name == name
    assert len(bank.labels) == len(SHIPPED[name])
    assert set(bank.labels) == SHIPPED[name]
    for activity in bank.activities:
        assert activity.text and activity.sentence and activity.keywords, activity.label
        assert len(activity.affirmative) == len(activity.negative) == 3, activity.label
        assert len({s.arm for s in activity.sub_actions if s.wrist_observable}) == 10, activity.label
        assert all(s.leg for s in activity.sub_actions), activity.label


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_to_be_warned_of_in_a_shipped_bank(name: str) -> None:
    bank = load_bank(name)
    assert bank.source is not None
    assert check_bank(bank, bank.source.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_bank_says_that_a_language_model_wrote_it(name: str) -> None:
    provenance = load_bank(name).provenance
    assert "language model" in provenance["author"]
    assert all(provenance[key] for key in ("prompt", "model", "date"))


def test_a_file_wins_over_the_shipped_bank_of_its_name(
    root: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "wisdm", root)
    monkeypatch.chdir(tmp_path)
    assert load_bank("wisdm").name == "small"


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (["standing", "sitting"], "selfback"),  # also in pamap2 and wisdm
        (["walking", "sitting"], "pamap2"),  # also in wisdm
        (["stairs_up"], "pamap2"),  # also in geneactiv
        (["walking", "chips"], "wisdm"),
        (["Walking"], "basicmotions"),
    ],
)
def test_of_the_shipped_banks_with_all_labels_the_one_with_the_fewest_activities_is_taken(
    labels: list[str], name: str
) -> None:
    bank = shipped_bank(labels)
    assert bank is not None
    assert bank == load_bank(name)


def test_no_shipped_bank_answers_for_a_label_that_none_has() -> None:
    assert shipped_bank(["walking", "swimming"]) is None
    assert shipped_bank(["chips", "cycling"]) is None  # one of wisdm, one of pamap2


# The bank -------------------------------------------------------------------------------------------------------


def test_a_bank_written_and_read_again_is_the_same_bank(wisdm: Bank, tmp_path: Path) -> None:
    save_bank(wisdm, tmp_path / "run" / "bank.json")
    again = load_bank(tmp_path / "run" / "bank.json")
    assert again == wisdm
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["bank.json"]


def test_the_owners_of_sub_actions_follow_the_activities(root: dict[str, Any], tmp_path: Path) -> None:
    bank = load_bank(write(tmp_path / "b.json", root))
    assert bank.owners == (0,) * 5 + (1,) * 5 + (2,) * 5
    assert bank.arms == tuple(s.arm for s in bank.sub_actions)
    assert bank.arms[5:7] == ("lift", "lower")
    assert bank.sentences == ("one thing",) * 3  # no sentence: the text stands in


def test_the_texts_are_all_that_is_said_each_once(root: dict[str, Any], tmp_path: Path) -> None:
    soup = root["activities"]["soup"]
    soup["sub_actions"][0]["leg"] = "sit"
    soup |= {"sentence": "A person eats.", "keywords": ["spoon", "dip"], "affirmative": ["Yes."], "negative": ["No."]}
    bank = load_bank(write(tmp_path / "b.json", root)).select(["soup"])
    assert bank.texts == (
        *("lift", "sit", "lift while sit", "lower", "dip", "stir", "tip"),
        *("one thing", "A person eats.", "spoon", "Yes.", "No."),
    )


def test_a_selection_has_the_labels_asked_for_in_their_order(root: dict[str, Any], tmp_path: Path) -> None:
    bank = load_bank(write(tmp_path / "b.json", root)).select(["typing", "soup"])
    assert bank.labels == ("typing", "soup")
    assert bank.arms[:2] == ("tap", "rest")


def test_a_bank_in_another_unicode_encoding_is_read_as_well(root: dict[str, Any]) -> None:
    text = json.dumps(root)
    banks = [parse_bank(text.encode(encoding), Path("b.json")) for encoding in ("utf-8", "utf-8-sig", "utf-16")]
    assert banks[0] == banks[1] == banks[2]


def test_without_an_argument_the_shipped_bank_is_taken_in_the_order_of_the_data() -> None:
    bank, notice = resolve_bank(None, ["walking", "chips"])
    assert (bank.name, bank.labels, notice) == ("wisdm", ("walking", "chips"), None)


def test_without_an_argument_unknown_labels_give_the_automatic_bank_and_a_notice() -> None:
    bank, notice = resolve_bank(None, ["walking", "walk_fast"])
    assert bank.name == "auto"
    assert bank.labels == ("walking", "walk_fast")
    assert notice is not None
    assert "no shipped bank has all labels" in notice
    assert "--bank FILE" in notice
    assert "mmvq-bank write" in notice


def test_asking_for_auto_gives_the_automatic_bank_even_where_a_shipped_one_would_do() -> None:
    bank, notice = resolve_bank("auto", ["walking"])
    assert bank.name == "auto"
    assert notice is not None
    assert "asked for" in notice


def test_a_shipped_bank_is_asked_for_by_its_name() -> None:
    bank, notice = resolve_bank("wisdm", ["sitting", "standing"])
    assert (bank.name, bank.labels, notice) == ("wisdm", ("sitting", "standing"), None)


def test_a_bank_file_that_lacks_labels_is_refused_by_those_labels(root: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "b.json", root)
    with pytest.raises(BadInput, match=r"b\.json: the bank lacks 'running' \(it has soup, chips, typing\)"):
        resolve_bank(str(path), ["soup", "running"])
    with pytest.raises(BadInput, match="the bank lacks 'running', 'rowing'"):
        load_bank(path).select(["running", "soup", "rowing"])


def test_check_labels_is_silent_when_all_are_there(wisdm: Bank) -> None:
    check_labels(wisdm, ["soup", "catch"])


def test_the_automatic_bank_is_made_of_the_words_of_the_labels_and_says_so(tmp_path: Path) -> None:
    bank = auto_bank(["walkFast_2", "lying", "++"])
    assert bank.activities[0].text == "walk fast 2"
    assert all("walk fast 2" in sub_action.arm for sub_action in bank.activities[0].sub_actions)
    assert "label names" in bank.provenance["author"]
    save_bank(bank, tmp_path / "bank.json")
    assert load_bank(tmp_path / "bank.json") == bank  # it passes the same checks as a written one


# What is refused ------------------------------------------------------------------------------------------------


def set_at(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(root: Any) -> None:
        for key in path[:-1]:
            root = root[key]
        root[path[-1]] = to

    return change


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(root: Any) -> None:
        for key in path[:-1]:
            root = root[key]
        del root[path[-1]]

    return change


CHIPS = ("activities", "chips")
FIRST = ("activities", "soup", "sub_actions")


@pytest.mark.parametrize(
    ("change", "message", "on_line"),
    [
        (set_at("schema", to=2), "schema: 2 is not known; this version reads schema 1", '"schema"'),
        (set_at("schema", to=True), "schema: True is not known", '"schema"'),
        (drop("schema"), "schema: None is not known", "{"),
        (drop("name"), "name: is missing; give a text", "{"),
        (drop("provenance", "author"), "provenance.author: is missing", '"provenance"'),
        (set_at("activities", to=[]), "activities: must be an object, not list", '"activities"'),
        (set_at("activities", to={}), "activities: no activity in it", '"activities"'),
        (set_at("activities", " ", to={}), "activities. : the label is empty", '" "'),
        (drop(*CHIPS, "negative"), "activities.chips.negative: is missing; give a list", '"chips"'),
        (set_at(*CHIPS, "text", to="  "), "activities.chips.text: is empty", '"  "'),
        (set_at(*CHIPS, "sentence", to=None), "activities.chips.sentence: must be a text, not NoneType", "null"),
        (set_at(*CHIPS, "keywords", to="bag"), "activities.chips.keywords: must be a list, not str", '"bag"'),
        (set_at(*CHIPS, "negative", to=["no", ""]), "activities.chips.negative[1]: is empty", '  ""\n'),
        (set_at(*CHIPS, "negative", to=["no", 3]), "activities.chips.negative[1]: must be a text, not int", "  3\n"),
        (drop(*FIRST, 0), "activities.soup.sub_actions: 4 of them; give 5 to 10", '"sub_actions"'),
        (set_at(*FIRST, to=[{}] * 11), "activities.soup.sub_actions: 11 of them", '"sub_actions"'),
        (set_at(*FIRST, 2, to="dip"), "activities.soup.sub_actions[2]: must be an object, not str", '"dip"'),
        (set_at(*FIRST, 2, "arm", to=""), "activities.soup.sub_actions[2].arm: is empty", '"arm": ""'),
        (set_at(*FIRST, 2, to={}), "activities.soup.sub_actions[2].arm: is missing; give a text", "    {}"),
        (
            set_at(*FIRST, 4, "wrist_observable", to=1),
            "activities.soup.sub_actions[4].wrist_observable: must be true or false",
            ": 1\n",
        ),
    ],
)
def test_a_wrong_bank_is_refused_with_file_line_and_place(
    change: Callable[[dict[str, Any]], None], message: str, on_line: str, root: dict[str, Any], tmp_path: Path
) -> None:
    change(root)
    path = write(tmp_path / "b.json", root)
    line = line_of(path.read_text(encoding="utf-8"), on_line)
    with pytest.raises(BadInput) as error:
        load_bank(path)
    assert str(error.value).startswith(f"{path}:{line}: {message}")
    assert "\n" not in str(error.value)


def test_what_misses_in_a_sub_action_is_told_on_the_line_where_that_begins(root: dict[str, Any]) -> None:
    del root["activities"]["chips"]["sub_actions"][3]["leg"]
    text = json.dumps(root, indent=1)
    pinch = line_of(text, '"pinch"')
    with pytest.raises(BadInput, match=rf"^b\.json:{pinch - 1}: activities\.chips\.sub_actions\[3\]\.leg: is missing"):
        parse_bank(text.encode(), Path("b.json"))


def test_an_activity_of_which_the_wrist_sees_nothing_is_refused(root: dict[str, Any], tmp_path: Path) -> None:
    for sub_action in root["activities"]["soup"]["sub_actions"]:
        sub_action["wrist_observable"] = False
    with pytest.raises(BadInput, match=r"b\.json:14: activities\.soup\.sub_actions: none is wrist_observable"):
        load_bank(write(tmp_path / "b.json", root))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "b.json: not a text bank"),
        (b"\x80", "b.json: not a text bank"),
        (b"", "b.json: not a text bank (Expecting value: line 1"),
        (b"{", "b.json: not a text bank (Expecting property name enclosed in double quotes: line 1"),
        (b'{\n "schema": 1,\n "name" "small"\n}', "b.json: not a text bank (Expecting ':' delimiter: line 3"),
        (b'{\n "schema": 1\n}\n\n}', "b.json: not a text bank (Extra data: line 5"),
        (b"\n\n[]", "b.json:3: the whole: must be an object, not list"),
        (b"[" * 100_000, "b.json: not a text bank"),
        (b'{"activities": {"soup": {}, "soup": {}}}', "b.json: not a text bank ('soup' stands there twice)"),
    ],
)
def test_what_is_no_bank_is_refused_in_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(data)
    with pytest.raises(BadInput) as error:
        load_bank(tmp_path / "b.json")
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(error.value)


def test_for_a_missing_bank_file_the_shipped_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"give the path of a text bank.*: basicmotions, epilepsy, .*, wisdm$"):
        load_bank(tmp_path / "none.json")


# Lines ----------------------------------------------------------------------------------------------------------


def test_nested_values_stand_on_the_lines_where_they_begin() -> None:
    text = '{\n "a": {\n  "b": [\n   1,\n   {"c": 2}\n  ]\n },\n "d"\n :\n  3\n}\n'
    assert line_numbers(text) == {
        (): 1, ("a",): 2, ("a", "b"): 3, ("a", "b", 0): 4, ("a", "b", 1): 5, ("a", "b", 1, "c"): 5, ("d",): 10,
    }  # fmt: skip


def test_empty_containers_have_a_line_and_nothing_in_them() -> None:
    assert line_numbers('\n[{},\n[],\n[[\n]], ""]') == {(): 2, (0,): 2, (1,): 3, (2,): 4, (2, 0): 4, (3,): 5}
    assert line_numbers("\n\n {\n}") == {(): 3}


def test_several_values_on_a_line_share_it() -> None:
    text = '{"a": 1, "b": [true, null],\n"c": -2.5e3, "d": {"e": "f"}}'
    assert line_numbers(text) == {
        (): 1, ("a",): 1, ("b",): 1, ("b", 0): 1, ("b", 1): 1, ("c",): 2, ("d",): 2, ("d", "e"): 2,
    }  # fmt: skip


@pytest.mark.parametrize("sign", ['"', "\\", "[", "]", "{", "}", ",", ":", '": {', "\n", "\\n", "é", "\u2028", "]}"])
def test_signs_of_json_within_a_text_or_a_key_are_part_of_it(sign: str) -> None:
    for ascii_only in (True, False):
        text = json.dumps({sign: [sign, {sign: 1}], "last": sign}, indent=1, ensure_ascii=ascii_only)
        assert line_numbers(text) == {
            (): 1, (sign,): 2, (sign, 0): 3, (sign, 1): 4, (sign, 1, sign): 5, ("last",): 8,
        }  # fmt: skip


def leaves(value: object, place: Place = ()) -> list[tuple[Place, object]]:
    """What stands on one line when dumped with an indent: scalars and empty containers."""
    if isinstance(value, dict) and value:
        return [leaf for key, child in value.items() for leaf in leaves(child, (*place, key))]
    if isinstance(value, list) and value:
        return [leaf for i, child in enumerate(value) for leaf in leaves(child, (*place, i))]
    return [(place, value)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)  # other work on the machine is no failure
@given(JSON, st.booleans())
def test_the_line_of_every_value_contains_it(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=ascii_only)
    rows, found = text.split("\n"), line_numbers(text)
    for place, leaf in leaves(value):
        own = json.dumps(leaf, ensure_ascii=ascii_only)
        key = f"{json.dumps(place[-1], ensure_ascii=ascii_only)}: " if place and isinstance(place[-1], str) else ""
        assert rows[found[place] - 1].strip().removesuffix(",") == key + own
    lines = [found[place] for place, _ in leaves(value)]
    assert sorted(set(lines)) == lines  # one a line, in the order of the text


def test_a_place_is_spelt_as_one_would_write_it() -> None:
    assert spelt(("activities", "soup", "keywords", 1)) == "activities.soup.keywords[1]"
    assert spelt((0, "a", 2, 3)) == "[0].a[2][3]"
    assert spelt(()) == ""


def test_half_a_character_is_refused_since_it_could_not_be_written_again(root: dict[str, Any]) -> None:
    root["activities"]["soup"]["text"] = "soup \ud800"
    with pytest.raises(BadInput, match=r"not a text bank .*surrogates not allowed"):
        parse_bank(json.dumps(root).encode(), Path("b.json"))


def test_a_folder_of_the_name_does_not_hide_a_shipped_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wisdm").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_bank("wisdm").name == "wisdm"
