"""The text bank: what each activity is in words, and the sub-actions that a wrist can see of it (DESIGN 3.2).

    {"schema": 1, "name": "wisdm", "provenance": {"author": .., "prompt": .., "model": .., "date": ..},
     "activities": {"<label>": {"text": .., "keywords": [..], "sentence": .., "affirmative": [..], "negative": [..],
         "sub_actions": [{"arm": "wrist swings forward", "leg": "heel strikes", "wrist_observable": true}, ..]}}}

Text is a target of training and never an input: a label's text is the same for all its windows, so as input it would
be the answer. Of a sub-action the `arm` phrase is embedded and shown; only `wrist_observable` ones may name codes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic
from mmvq_train.text.lines import Place, line_numbers, spelt

SCHEMA: Final = 1
SUB_ACTIONS: Final = (5, 10)  # fewest and most of an activity
PROVENANCE: Final = ("author", "prompt", "model", "date")

TextKind = Literal["keywords", "sentence", "affirmative", "negative"]  # of what says what an activity is
Kind = TypeVar("Kind")
JSON_NAMES: Final[Mapping[type, str]] = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class SubAction:
    """One movement: what the arm does (embedded and shown) and what the legs do meanwhile (for readers, may be '')."""

    arm: str
    leg: str
    wrist_observable: bool

    @property
    def both(self) -> str:
        """Arm and legs in one phrase."""
        return f"{self.arm} while {self.leg}" if self.leg else self.arm


@dataclass(frozen=True)
class Activity:
    """A label in words. `sentence` may be '' and all lists but `sub_actions` may be empty."""

    label: str
    text: str
    keywords: tuple[str, ...]
    sentence: str
    affirmative: tuple[str, ...]
    negative: tuple[str, ...]
    sub_actions: tuple[SubAction, ...]


@dataclass(frozen=True)
class Bank:
    """Activities in the order of the file, or of the labels asked for. `source`: its file, None if made."""

    name: str
    provenance: Mapping[str, str]
    activities: tuple[Activity, ...]
    source: Path | None = field(default=None, compare=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The C labels."""
        return tuple(activity.label for activity in self.activities)

    @property
    def sub_actions(self) -> tuple[SubAction, ...]:
        """All S sub-actions, activity after activity."""
        return tuple(sub_action for activity in self.activities for sub_action in activity.sub_actions)

    @property
    def owners(self) -> tuple[int, ...]:
        """For each of the S sub-actions the index of its activity."""
        return tuple(i for i, activity in enumerate(self.activities) for _ in activity.sub_actions)

    @property
    def arms(self) -> tuple[str, ...]:
        """The S arm phrases."""
        return tuple(sub_action.arm for sub_action in self.sub_actions)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The C texts that stand for whole activities: the sentence, or the short text where there is none."""
        return tuple(activity.sentence or activity.text for activity in self.activities)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every distinct text in it, in order of first appearance: arm, leg and both of each sub-action, then what
        stands for whole activities."""
        found = [text for s in self.sub_actions for text in (s.arm, s.leg, s.both)]
        for a in self.activities:
            found += [a.text, a.sentence, *a.keywords, *a.affirmative, *a.negative]
        return tuple(dict.fromkeys(text for text in found if text))

    def select(self, labels: Sequence[str]) -> "Bank":
        """The bank of these labels only, in this order. BadInput names a label that the bank lacks."""
        check_labels(self, labels)
        found = {activity.label: activity for activity in self.activities}
        return replace(self, activities=tuple(found[label] for label in labels))


def resolve_bank(argument: str | None, labels: Sequence[str]) -> tuple[Bank, str | None]:
    """What `--bank FILE|auto` means for the data's labels: a bank of these labels in this order, and a notice or None.

    argument: a file or a shipped bank's name, "auto", or None: the shipped bank that has all labels, else one made of
    the label names.
    """
    if argument is not None and argument != "auto":
        return load_bank(argument).select(labels), None
    if argument is None:
        shipped = shipped_bank(labels)
        if shipped is not None:
            return shipped.select(labels), None
    why = "asked for" if argument == "auto" else "no shipped bank has all labels"
    return auto_bank(labels), (
        f"text bank made from the label names ({why}): its sub-actions say nothing of how a movement looks; "
        "write one with mmvq-bank write, or by hand as JSON, and give it with --bank FILE"
    )


def label_phrases(bank: Bank, kinds: Sequence[TextKind]) -> list[list[tuple[str, ...]]]:
    """For every activity and kind the texts that say what it is. BadInput names an activity that has none of a kind."""
    found = []
    for activity in bank.activities:
        of: dict[TextKind, tuple[str, ...]] = {
            "keywords": activity.keywords, "sentence": (activity.sentence or activity.text,),
            "affirmative": activity.affirmative, "negative": activity.negative,
        }
        for kind in kinds:
            if not of[kind]:
                raise BadInput(
                    f"bank {bank.name!r}: activity {activity.label!r} has no {kind}; write some, or leave it out of "
                    "--codebook.texts"
                )
        found.append([of[kind] for kind in kinds])
    return found


def check_labels(bank: Bank, labels: Sequence[str]) -> None:
    """BadInput that names every label of the data that the bank lacks."""
    missing = [label for label in labels if label not in bank.labels]
    if missing:
        names = ", ".join(repr(label) for label in missing)
        raise BadInput(
            f"{bank.source or bank.name}: the bank lacks {names} (it has {', '.join(bank.labels)}); "
            "add it under activities, or use --bank auto"
        )


def shipped_banks() -> dict[str, Path]:
    """The packaged banks by name."""
    folder = Path(str(resources.files("mmvq_train") / "banks"))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def shipped_bank(labels: Sequence[str]) -> Bank | None:
    """The packaged bank that has all labels, with all its own activities; of several the one with the fewest more."""
    fitting = [bank for bank in map(load_bank, shipped_banks().values()) if set(labels) <= set(bank.labels)]
    return min(fitting, key=lambda bank: len(bank.labels), default=None)


def auto_bank(labels: Sequence[str]) -> Bank:
    """A minimal bank from label names alone: five general sub-actions around the words of each label."""
    activities = []
    for label in labels:
        words = spoken(label)
        phrases = (
            f"arm moves during {words}",
            f"wrist turns during {words}",
            f"forearm keeps its angle during {words}",
            f"jolt reaches the wrist during {words}",
            f"hand pauses during {words}",
        )
        sub_actions = tuple(SubAction(phrase, "", True) for phrase in phrases)
        activities.append(Activity(label, words, (), f"A person's activity is {words}.", (), (), sub_actions))
    provenance = dict.fromkeys(PROVENANCE, "") | {"author": "mmvq, from the label names alone (--bank auto)"}
    return Bank("auto", provenance, tuple(activities))


def spoken(label: str) -> str:
    """A label in words: 'walkFast_2' -> 'walk fast 2'; one of signs only stays as it is."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return " ".join(re.findall(r"\w+", split.replace("_", " "))).lower() or label


def load_bank(path: Path | str) -> Bank:
    """Read a bank file, or the shipped bank of that name. BadInput names file, line, place in it and remedy."""
    source = Path(path)
    shipped = shipped_banks()
    if str(path) in shipped and not source.is_file():
        source = shipped[str(path)]
    try:
        data = source.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{source}: {error.strerror or error}; give the path of a text bank, or the name of a shipped one: "
            f"{', '.join(shipped)}"
        ) from None
    return parse_bank(data, source)


def parse_bank(data: bytes, source: Path) -> Bank:
    """The same from bytes; `source` serves messages and says where embeddings may lie."""
    try:
        text = decoded(data)
        root = json.loads(text, object_pairs_hook=_without_repeats)
        json.dumps(root, ensure_ascii=False).encode()  # half a character ("\\ud800") could not be written again
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a key twice, nested without end
        raise BadInput(f"{source}: not a text bank ({error}); it must be one JSON object (see wisdm.json)") from None
    file = _File(source, text)
    bank = _Object(file, (), file.of(root, dict, ()))
    if type(bank.node.get("schema")) is not int or bank.node["schema"] != SCHEMA:
        raise bank.bad(f"{bank.node.get('schema')!r} is not known; this version reads schema {SCHEMA}", "schema")
    provenance = bank.child("provenance")
    activities = bank.child("activities")
    if not activities.node:
        raise bank.bad("no activity in it; give one for each label", "activities")
    return Bank(
        name=bank.text("name"),
        provenance={key: provenance.text(key, may_be_empty=True) for key in PROVENANCE},
        activities=tuple(_activity(label, activities.child(label)) for label in activities.node),
        source=source,
    )


def decoded(data: bytes) -> str:
    """The text of a JSON file in UTF-8, 16 or 32. Raises ValueError where it is none."""
    return data.decode(json.detect_encoding(data))


def save_bank(bank: Bank, path: Path | str) -> None:
    """Write the bank as JSON, whole or not at all."""
    activities = {activity.label: asdict(activity) for activity in bank.activities}
    for activity in activities.values():
        del activity["label"]
    root = {"schema": SCHEMA, "name": bank.name, "provenance": dict(bank.provenance), "activities": activities}
    with atomic(path) as part:
        part.write_text(json.dumps(root, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _activity(label: str, activity: "_Object") -> Activity:
    if not label.strip():
        raise activity.bad("the label is empty; name the activity as the data do")
    nodes = activity.value("sub_actions", list)
    low, high = SUB_ACTIONS
    if not low <= len(nodes) <= high:
        raise activity.bad(f"{len(nodes)} of them; give {low} to {high}", "sub_actions")
    sub_actions = []
    for i, node in enumerate(nodes):
        place: Place = (*activity.place, "sub_actions", i)
        one = _Object(activity.file, place, activity.file.of(node, dict, place))
        sub_actions.append(SubAction(one.text("arm"), one.text("leg", True), one.value("wrist_observable", bool)))
    if not any(sub_action.wrist_observable for sub_action in sub_actions):
        raise activity.bad("none is wrist_observable; give at least one that the wrist can see", "sub_actions")
    return Activity(
        label=label,
        text=activity.text("text"),
        keywords=activity.texts("keywords"),
        sentence=activity.text("sentence", may_be_empty=True),
        affirmative=activity.texts("affirmative"),
        negative=activity.texts("negative"),
        sub_actions=tuple(sub_actions),
    )


@dataclass(frozen=True)
class _File:
    """What messages need of the file: its path and, once one is told, the lines of its values."""

    source: Path
    text: str

    @cached_property
    def lines(self) -> dict[Place, int]:
        return line_numbers(self.text)

    def bad(self, what: str, place: Place) -> BadInput:
        known = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in self.lines)  # a missing key has none
        return BadInput(f"{self.source}:{self.lines[known]}: {spelt(place) or 'the whole'}: {what}")

    def of(self, value: object, kind: type[Kind], place: Place) -> Kind:
        if isinstance(value, kind):
            return value
        raise self.bad(f"must be {JSON_NAMES[kind]}, not {type(value).__name__}", place)


@dataclass(frozen=True)
class _Object:
    """An object of the file and the way to it."""

    file: _File
    place: Place
    node: dict[str, Any]

    def bad(self, what: str, *keys: str | int) -> BadInput:
        return self.file.bad(what, (*self.place, *keys))

    def value(self, key: str, kind: type[Kind]) -> Kind:
        if key not in self.node:
            raise self.bad(f"is missing; give {JSON_NAMES[kind]}", key)
        return self.file.of(self.node[key], kind, (*self.place, key))

    def child(self, key: str) -> "_Object":
        return _Object(self.file, (*self.place, key), self.value(key, dict))

    def text(self, key: str, may_be_empty: bool = False) -> str:
        text = self.value(key, str).strip()
        if not (text or may_be_empty):
            raise self.bad("is empty; give a text", key)
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        texts = self.value(key, list)
        for i, text in enumerate(texts):
            if not self.file.of(text, str, (*self.place, key, i)).strip():
                raise self.bad("is empty; give a text or leave it out", key, i)
        return tuple(text.strip() for text in texts)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys and says nothing: half of a bank could vanish so.
    keys = [key for key, _ in pairs]
    repeated = {key for key in keys if keys.count(key) > 1}
    if repeated:
        raise ValueError(f"{sorted(repeated)[0]!r} stands there twice")
    return dict(pairs)
