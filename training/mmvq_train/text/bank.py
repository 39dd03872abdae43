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
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic

SCHEMA: Final = 1
SUB_ACTIONS: Final = (5, 10)  # fewest and most of an activity
PROVENANCE: Final = ("author", "prompt", "model", "date")

Kind = TypeVar("Kind")
JSON_NAMES: Final[Mapping[type, str]] = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class SubAction:
    """One movement: what the arm does (embedded and shown) and what the legs do meanwhile (for readers, may be '')."""

    arm: str
    leg: str
    wrist_observable: bool


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
    def sentences(self) -> tuple[str, ...]:
        """The C texts that stand for whole activities: the sentence, or the short text where there is none."""
        return tuple(activity.sentence or activity.text for activity in self.activities)

    def select(self, labels: Sequence[str]) -> "Bank":
        """The bank of these labels only, in this order. BadInput names a label that the bank lacks."""
        check_labels(self, labels)
        found = {activity.label: activity for activity in self.activities}
        return replace(self, activities=tuple(found[label] for label in labels))


def resolve_bank(argument: str | None, labels: Sequence[str]) -> tuple[Bank, str | None]:
    """What `--bank FILE|auto` means for the data's labels: a bank of these labels in this order, and a notice or None.

    argument: a file, "auto", or None: the shipped bank that has all labels, else one made of the label names.
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
        "write one as JSON and give it with --bank FILE"
    )


def check_labels(bank: Bank, labels: Sequence[str]) -> None:
    """BadInput that names every label of the data that the bank lacks."""
    missing = [label for label in labels if label not in bank.labels]
    if missing:
        names = ", ".join(repr(label) for label in missing)
        raise BadInput(
            f"{bank.source or bank.name}: the bank lacks {names} (it has {', '.join(bank.labels)}); "
            "add it under activities, or use --bank auto"
        )


def shipped_bank(labels: Sequence[str]) -> Bank | None:
    """The first packaged bank, by file name, that has all labels; it holds all its own activities."""
    folder = Path(str(resources.files("mmvq_train") / "banks"))
    for path in sorted(folder.glob("*.json")):
        bank = load_bank(path)
        if set(labels) <= set(bank.labels):
            return bank
    return None


def auto_bank(labels: Sequence[str]) -> Bank:
    """A minimal bank from label names alone: five general sub-actions around the words of each label."""
    activities = []
    for label in labels:
        words = _words(label)
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


def load_bank(path: Path | str) -> Bank:
    """Read a bank file. BadInput names file, place in it and remedy."""
    source = Path(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise BadInput(f"{source}: {error.strerror or error}; give the path of a text bank, or auto") from None
    return parse_bank(data, source)


def parse_bank(data: bytes, source: Path) -> Bank:
    """The same from bytes; `source` serves messages and says where embeddings may lie."""
    try:
        root = json.loads(data, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a key twice, nested without end
        raise BadInput(f"{source}: not a text bank ({error}); it must be one JSON object (see wisdm.json)") from None
    bank = _Place(source, "top", _of(root, dict, source, "top"))
    if type(bank.node.get("schema")) is not int or bank.node["schema"] != SCHEMA:
        raise bank.bad("schema", f"{bank.node.get('schema')!r} is not known; this version reads schema {SCHEMA}")
    provenance = bank.child("provenance")
    activities = bank.child("activities")
    if not activities.node:
        raise bank.bad("activities", "no activity in it; give one for each label")
    return Bank(
        name=bank.text("name"),
        provenance={key: provenance.text(key, may_be_empty=True) for key in PROVENANCE},
        activities=tuple(_activity(label, activities.child(label)) for label in activities.node),
        source=source,
    )


def save_bank(bank: Bank, path: Path | str) -> None:
    """Write the bank as JSON, whole or not at all."""
    activities = {activity.label: asdict(activity) for activity in bank.activities}
    for activity in activities.values():
        del activity["label"]
    root = {"schema": SCHEMA, "name": bank.name, "provenance": dict(bank.provenance), "activities": activities}
    with atomic(path) as part:
        part.write_text(json.dumps(root, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _activity(label: str, place: "_Place") -> Activity:
    if not label.strip():
        raise place.bad("label", "is empty; name the activity as the data do")
    nodes = place.value("sub_actions", list)
    low, high = SUB_ACTIONS
    if not low <= len(nodes) <= high:
        raise place.bad("sub_actions", f"{len(nodes)} of them; give {low} to {high}")
    sub_actions = []
    for i, node in enumerate(nodes):
        name = f"{place.name}.sub_actions[{i}]"
        one = _Place(place.source, name, _of(node, dict, place.source, name))
        sub_actions.append(SubAction(one.text("arm"), one.text("leg", True), one.value("wrist_observable", bool)))
    if not any(sub_action.wrist_observable for sub_action in sub_actions):
        raise place.bad("sub_actions", "none is wrist_observable; give at least one that the wrist can see")
    return Activity(
        label=label,
        text=place.text("text"),
        keywords=place.texts("keywords"),
        sentence=place.text("sentence", may_be_empty=True),
        affirmative=place.texts("affirmative"),
        negative=place.texts("negative"),
        sub_actions=tuple(sub_actions),
    )


@dataclass(frozen=True)
class _Place:
    """An object of the file and the way to it, so that each message can say where."""

    source: Path
    name: str
    node: dict[str, Any]

    def bad(self, key: str, what: str) -> BadInput:
        return BadInput(f"{self.source}: {self.name}.{key}: {what}")

    def value(self, key: str, kind: type[Kind]) -> Kind:
        if key not in self.node:
            raise self.bad(key, f"is missing; give {JSON_NAMES[kind]}")
        return _of(self.node[key], kind, self.source, f"{self.name}.{key}")

    def child(self, key: str) -> "_Place":
        return _Place(self.source, f"{self.name}.{key}".removeprefix("top."), self.value(key, dict))

    def text(self, key: str, may_be_empty: bool = False) -> str:
        text = self.value(key, str).strip()
        if not (text or may_be_empty):
            raise self.bad(key, "is empty; give a text")
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        texts = self.value(key, list)
        for i, text in enumerate(texts):
            if not _of(text, str, self.source, f"{self.name}.{key}[{i}]").strip():
                raise self.bad(f"{key}[{i}]", "is empty; give a text or leave it out")
        return tuple(text.strip() for text in texts)


def _of(value: object, kind: type[Kind], source: Path, place: str) -> Kind:
    if isinstance(value, kind):
        return value
    raise BadInput(f"{source}: {place}: must be {JSON_NAMES[kind]}, not {type(value).__name__}")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys and says nothing: half of a bank could vanish so.
    keys = [key for key, _ in pairs]
    repeated = {key for key in keys if keys.count(key) > 1}
    if repeated:
        raise ValueError(f"{sorted(repeated)[0]!r} stands there twice")
    return dict(pairs)


def _words(label: str) -> str:
    """'walkFast_2' -> 'walk fast 2'; a label of signs only stays as it is."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return " ".join(re.findall(r"\w+", split.replace("_", " "))).lower() or label
