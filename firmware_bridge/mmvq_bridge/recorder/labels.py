"""Which label holds when, by the words of a person. Pure.

    a label    holds from now on          ""    ends it          undo    takes the last one back: nothing had it

People press the key and then begin, and stop before they press the next: so a label does not hold for `settle_s`
seconds after its word, nor for as long before the next one. Once a label is taken back, the one before it stays ended.
"""

from typing import Final

from mmvq_bridge.command import BadInput

NONE: Final = ""
UNDO: Final = "undo"
QUIT: Final = "quit"
END_KEY: Final = " "
LONGEST: Final = 60  # characters of a label or a name: more is a line that was no label
SETTLE_S: Final = 2.0  # from a key to the movement takes about a second, and typing a label one or two


def checked(text: str, what: str) -> str:
    """A label or another name without blanks around it. BadInput if it cannot be one; `what` says which."""
    name = text.strip()
    if len(name) > LONGEST:
        raise BadInput(f"{what} {name[:20]!r}... has {len(name)} characters; at most {LONGEST} make one")
    if not name.isprintable() or "\ufffd" in name:
        raise BadInput(f"{what} {name!r} holds characters that cannot be printed; use letters, digits and blanks")
    return name


def checked_label(text: str) -> str:
    """The same of a label, which is no command."""
    label = checked(text, "label")
    if label in (UNDO, QUIT):
        raise BadInput(f"label {label!r} is what one types to {label}; choose another name for it")
    return label


def parse_keys(text: str) -> dict[str, str]:
    """Labels by key, of "w=walking,s=sitting". BadInput for what is no such list, a key given twice, no usable key."""
    keys: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, name = pair.strip().partition("=")
        label = checked_label(name)
        if not equals or not label:
            raise BadInput(f"--keys: {pair!r} is not KEY=LABEL, as in w=walking,s=sitting")
        if len(key) != 1 or not key.isprintable():
            raise BadInput(f"--keys: {key!r} is not one key; use a letter or a digit, as in w={label}")
        if key in keys:
            raise BadInput(f"--keys: {key!r} is {keys[key]} and {label}; give each label a key of its own")
        keys[key] = label
    return keys


class Labels:
    """Words in turn, each at a place on one axis of seconds (session time, or the signal so far)."""

    def __init__(self) -> None:
        self._at: list[float] = []
        self._names: list[str] = []

    @property
    def current(self) -> str:
        """The label that holds now, "" if none does."""
        return self._names[-1] if self._names else NONE

    @property
    def names(self) -> tuple[str, ...]:
        """Labels that were not taken back, sorted, whether they held for long enough or not."""
        return tuple(sorted({name for name in self._names if name}))

    def take(self, at: float, word: str) -> str:
        """A word at `at`, never before the last one. Gives the label that it began, ended or took back."""
        if word == UNDO:
            last = next((i for i in reversed(range(len(self._names))) if self._names[i]), None)
            if last is None:
                return NONE
            undone, self._names[last] = self._names[last], NONE
            return undone
        before = self.current
        if word != before:
            self._at.append(max([at, *self._at[-1:]]))
            self._names.append(word)
        return word or before

    def stretches(self, end: float, settle_s: float) -> list[tuple[float, float, str]]:
        """Where labels hold, up to `end`: from, to, label."""
        held = zip(self._at, [*self._at, end][1:], self._names, strict=True)
        settled = [(begin + settle_s, until - settle_s, name) for begin, until, name in held if name]
        return [(begin, until, name) for begin, until, name in settled if begin < until]

    def seconds(self, end: float, settle_s: float) -> dict[str, float]:
        """How long each label held up to `end`."""
        total: dict[str, float] = {}
        for begin, until, name in self.stretches(end, settle_s):
            total[name] = total.get(name, 0.0) + until - begin
        return total
