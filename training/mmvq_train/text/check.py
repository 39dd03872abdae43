"""What is wrong with a bank that can be read: a list of warnings, each with its line.

The schema is bank.py's matter. Here is what makes a phrase a poor target: it doubles another, it says how or what for
instead of what moves (adverbs and purpose clauses look like movement to a sentence encoder and are none), or it claims
for the wrist what only fingers, eyes or ears could tell.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mmvq_train.text.bank import Activity, Bank
from mmvq_train.text.claims import Verdict
from mmvq_train.text.lines import Place, line_numbers, spelt

PHRASE_WORDS: Final = (2, 10)  # of a sub-action's arm; a single word names no movement, a long one names several
SENTENCE_WORDS: Final = (4, 40)
KEYWORD_WORDS: Final = (1, 4)
OBSERVABLE: Final = 0.5  # least share of an activity's sub-actions that a wrist should see

# Words in -ly that are no adverbs, and adverbs without it.
NO_ADVERBS: Final = re.compile(
    "apply|assembly|belly|butterfly|curly|dolly|elderly|family|fly|hilly|jelly|lively|multiply|rally|reply|supply|ugly|wobbly|woolly"
)
ADVERBS: Final = re.compile(  # "hard", "fast" and "still" are adjectives as well
    "again|almost|already|always|just|maybe|never|often|once|quite|rather|sometimes|somewhat|soon|then|too|twice|very"
)
PURPOSE: Final = re.compile(
    r"\b(?:in order to|so that|so as to|for (?!string|spring|swing|landing)\w+ing|"
    r"(?<!comes )(?<!returns )to (?:be|get|keep|make|take|hold|hit|grab|reach|pick|put|"
    r"move|turn|open|close|cut|eat|drink|catch|throw|kick|write|type|clean|wash|dry|fold|wipe|push|pull|lift|help|avoid|"
    r"balance|pour|scratch|steady|support|prepare|start|stop|check|see|look|find|let|give|bring|carry|change|control|stay|rest))\b"
)
UNFELT: Final = re.compile(
    r"\b(?:grips?|grasps?|squeezes?|clenches|presses|pinch(?:es)?|breath\w*|eyes?|looks?|sounds?|hears?|"
    r"tastes?|smells?|feels?|warm|cold|drips?)\b"
)


@dataclass(frozen=True)
class Warned:
    """One warning: the line in the bank's file, the way to the value, and what to do about it."""

    line: int
    place: str
    what: str


def check_bank(bank: Bank, text: str, verdicts: Sequence[Verdict] = ()) -> list[Warned]:
    """All warnings of a bank read from `text`, by line. verdicts: claims held against recordings (claims.py)."""
    lines = line_numbers(text)
    found = [*_whole(bank), *(warned for a in bank.activities for warned in _of_activity(a))]
    for verdict in (v for v in verdicts if not v.holds):
        kind = verdict.kind
        what = (
            f"claims {kind.name}, which the signal does not show ({kind.measured}: {verdict.value:.3g}, "
            f"at least {kind.least:g} wanted): word it otherwise"
        )
        found.append((("activities", verdict.label, "sub_actions", verdict.number, "arm"), what))
    return sorted(
        (Warned(lines[place], spelt(place), what) for place, what in found), key=lambda warned: warned.line
    )


def observable_share(bank: Bank) -> float:
    """Share of all sub-actions that the bank says a wrist can see."""
    return sum(s.wrist_observable for s in bank.sub_actions) / len(bank.sub_actions)


Found = Iterator[tuple[Place, str]]


def _whole(bank: Bank) -> Found:
    """Texts that should tell activities apart and do not."""
    for key in ("text", "sentence"):
        first: dict[str, str] = {}
        for activity in bank.activities:
            text = _folded(getattr(activity, key))
            if text and text in first:
                yield ("activities", activity.label, key), f"the same as that of {first[text]!r}: say what differs"
            first.setdefault(text, activity.label)


def _of_activity(activity: Activity) -> Found:
    place: Place = ("activities", activity.label)
    seen = [s.wrist_observable for s in activity.sub_actions]
    if sum(seen) < OBSERVABLE * len(seen):
        yield (*place, "sub_actions"), f"a wrist can see {sum(seen)} of {len(seen)}: write more that it can"
    yield from _lengths((*place, "sentence"), activity.sentence, SENTENCE_WORDS)
    if not activity.sentence:
        yield (*place, "sentence"), "empty: the short text stands in for it"
    for key in ("keywords", "affirmative", "negative"):
        texts = getattr(activity, key)
        if not texts:
            yield (*place, key), "empty: training with this kind of text has nothing to go by"
        yield from _doubled((*place, key), texts, ())
        for i, text in enumerate(texts):
            yield from _lengths((*place, key, i), text, KEYWORD_WORDS if key == "keywords" else SENTENCE_WORDS)
    yield from _doubled((*place, "sub_actions"), [s.arm for s in activity.sub_actions], ("arm",))
    for i, sub_action in enumerate(activity.sub_actions):
        arm: Place = (*place, "sub_actions", i, "arm")
        yield from _lengths(arm, sub_action.arm, PHRASE_WORDS)
        for at, phrase in ((arm, sub_action.arm), ((*arm[:-1], "leg"), sub_action.leg)):
            yield from _wording(at, phrase)
        unfelt = UNFELT.search(sub_action.arm.lower())
        if unfelt and sub_action.wrist_observable:
            yield arm, f"a wrist cannot feel {unfelt.group()!r}: say what it does, or set wrist_observable to false"


def _lengths(place: Place, text: str, limits: tuple[int, int]) -> Found:
    low, high = limits
    words = len(text.split())
    if text and not low <= words <= high:
        yield place, f"{words} word{'s' * (words != 1)}: {low} to {high} make a good target"


def _doubled(place: Place, texts: Sequence[str], key: tuple[str, ...]) -> Found:
    folded = [_folded(text) for text in texts]
    count = Counter(folded)
    for i, text in enumerate(folded):
        first = folded.index(text)
        if count[text] > 1 and i != first:
            yield (*place, i, *key), f"doubles number {first + 1}: write another"


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _wording(place: Place, phrase: str) -> Found:
    lower = phrase.lower()
    for word in re.findall(r"[a-z]+", lower):
        if ADVERBS.fullmatch(word) or (word.endswith("ly") and not NO_ADVERBS.fullmatch(word)):
            yield place, f"{word!r} is an adverb: say what moves, not how"
    purpose = PURPOSE.search(re.sub(r"\bfrom \w+ to \w+", "", lower))  # "from push to pull"
    if purpose:
        yield place, f"{purpose.group()!r} says what for: say what moves, not why"
