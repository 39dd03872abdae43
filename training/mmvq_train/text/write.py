"""Authoring of a text bank by any OpenAI-compatible chat endpoint (Ollama, vLLM, a hosted one).

One conversation for each activity: the system prompt, the prompt of the style, and after an answer that the schema or
the style refuses, that answer and what is wrong in it. The journal beside the bank keeps every answer; the same
command again asks only what is missing. The bank is written once all activities are there.

An answer is a stranger's text: only what passed validation goes into the bank. The key is a secret, and an endpoint
may echo it: it is struck out of all that is stored, said or raised.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, Literal, NamedTuple, get_args

from mmvq_bridge.command import BadInput, Failed
from mmvq_train.text.bank import (
    PROVENANCE,
    SCHEMA,
    SUB_ACTIONS,
    Activity,
    Bank,
    load_bank,
    parse_bank,
    save_bank,
    spoken,
)
from mmvq_train.text.endpoint import LONGEST_ANSWER, QUOTED, Endpoint, Reply, is_base_url, short
from mmvq_train.text.journal import ACCEPTED, Journal, journal_path, open_journal

Style = Literal["merged", "arm-leg", "keywords"]

KEYWORD_WORDS: Final = 4  # most words of a phrase in the style "keywords"
# Shorter "keys" are placeholders for servers that want none ("none", "EMPTY", "x"). To strike such out of every answer
# would spoil it ("e***tends") and keep nothing secret.
SHORTEST_SECRET: Final = 6


@dataclass(frozen=True)
class Authoring:
    """Who is asked, and for what."""

    endpoint: str
    """Where /chat/completions lies, such as http://localhost:11434/v1."""
    model: str
    count: int = 10
    """Sub-actions an activity."""
    style: Style = "arm-leg"
    prompts: Path | None = None
    """A folder with prompt files instead of the packaged ones."""
    timeout_s: float = 120.0
    attempts: int = 4
    """Answers an activity before it is given up."""

    def __post_init__(self) -> None:
        low, high = SUB_ACTIONS
        if not low <= self.count <= high:
            raise BadInput(f"--count {self.count}: give {low} to {high}, as many as a bank may hold for an activity")
        if self.style not in get_args(Style):
            raise BadInput(f"--style {self.style}: give one of {', '.join(get_args(Style))}")
        if not self.model.strip():
            raise BadInput("--model is empty; give a name from the endpoint's list of models")
        if self.attempts < 1:
            raise BadInput(f"--attempts {self.attempts}: give 1 or more")
        if not 0 < self.timeout_s < float("inf"):
            raise BadInput(f"--timeout-s {self.timeout_s}: give a number of seconds above 0")
        if not is_base_url(self.endpoint):
            # Not echoed: a user or a query in it may be a secret, and for that it may not stand in the journal either.
            raise BadInput("--endpoint: give http(s)://HOST[:PORT]/PATH, without user, password or query")


def write_bank(
    labels: Sequence[str], out: Path, authoring: Authoring, key: str | None, say: Callable[[str], None]
) -> Bank:
    """Ask for the activity of each label, save the bank of all as `out` and return it; a line of progress each.

    BadInput for what cannot begin: `out` is there, prompts without placeholders, a journal of other settings. Failed
    for an endpoint that no waiting cures, at once, and for labels without a usable answer, after all others.
    """
    secret = (key or "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise BadInput("OPENAI_API_KEY has characters that no HTTP header may have; copy it anew")
    labels = tuple(dict.fromkeys(labels))
    nameless = [label for label in labels if not (label.strip() and label.isprintable())]
    if nameless or not labels:
        raise BadInput(f"label {nameless[0]!r} is no name" if nameless else "no labels; name the activities to write")
    if out.exists():
        raise BadInput(f"{out}: is there already; give another --out or move it away")

    def scrub(text: str) -> str:
        if len(secret) < SHORTEST_SECRET:
            return text
        return text.replace(secret, "***").replace(secret.replace("/", "\\/"), "***")  # some write JSON so

    prompts = _load_prompts(authoring)
    settings = {name: getattr(authoring, name) for name in ("endpoint", "model", "style", "count")}
    settings["prompts_sha256"] = hashlib.sha256("\0".join(prompts.values()).encode()).hexdigest()
    settings["prompts"] = prompts
    written, missing = [], []
    with (
        closing(Endpoint(authoring.endpoint, authoring.model, authoring.timeout_s, secret, scrub, say)) as endpoint,
        open_journal(journal_path(out), settings, scrub) as journal,
    ):
        author = _Author(authoring, tuple(map(Template, prompts.values())), endpoint, journal)
        for number, label in enumerate(labels, 1):
            try:
                one = author.recall(label) or author.ask(label)
            except _GivenUp as error:
                missing.append(f"{label} ({error})")
                told = f"given up after {authoring.attempts} answers: {error}"
            else:
                written.append(one)
                told = one.told
            say(scrub(f"{number} of {len(labels)}: {label} ... {told}"))
    if missing:
        told = f"{out}: not written, no usable answer for {'; '.join(missing)}; the same command again asks only these"
        raise Failed(scrub(told))
    provenance = {
        "author": scrub(f"{authoring.model} by mmvq-bank write"),
        "prompt": scrub("\n".join(list(prompts.values())[:2])),
        "model": ", ".join(dict.fromkeys(one.model for one in written)),
        "date": datetime.now(UTC).date().isoformat(),
    }
    save_bank(Bank(out.stem, provenance, tuple(one.activity for one in written)), out)
    return load_bank(out)


class _GivenUp(Exception):
    """None of the answers could be used; the message is the last error."""


class _Written(NamedTuple):
    activity: Activity
    model: str
    told: str


@dataclass(frozen=True)
class _Author:
    """The conversations. `prompts`: system, user, retry."""

    authoring: Authoring
    prompts: tuple[Template, ...]
    endpoint: Endpoint
    journal: Journal

    def recall(self, label: str) -> _Written | None:
        """From the journal. An answer that would not be accepted today (by a stricter version) is asked for anew."""
        kept = self.journal.accepted.get(label)
        if kept is None:
            return None
        try:
            return _Written(_activity(kept.answer, label, self.authoring), kept.answered_by, "kept from the journal")
        except BadInput:
            return None

    def ask(self, label: str) -> _Written:
        """The conversation about one label."""
        values = {"label": label, "words": spoken(label), "count": str(self.authoring.count)}
        system, user, retry = self.prompts
        messages = [
            {"role": "system", "content": system.substitute(values)},
            {"role": "user", "content": user.substitute(values)},
        ]
        verdict = ""
        for attempt in range(1, self.authoring.attempts + 1):
            entry = {"label": label, "attempt": attempt, "date": datetime.now(UTC).isoformat(timespec="seconds")}
            entry |= {"endpoint": self.authoring.endpoint, "model": self.authoring.model, "messages": messages}
            try:
                reply = self.endpoint.ask(messages)
            except Failed as error:
                self.journal.append(entry | {"answer": None, "verdict": str(error)})
                raise
            activity, verdict = _judged(reply, label, self.authoring)
            entry |= {"answered_by": reply.model, "answer": reply.text, "finish_reason": reply.finish_reason}
            self.journal.append(entry | {"verdict": verdict})
            if activity is not None:
                retries = {1: "", 2: ", 1 retry"}.get(attempt, f", {attempt - 1} retries")
                return _Written(activity, reply.model, f"{len(activity.sub_actions)} sub-actions{retries}")
            if not reply.problem:
                refused = {"role": "assistant", "content": reply.text[:QUOTED]}
                again = {"role": "user", "content": retry.substitute(values, error=verdict)}
                messages = [*messages, refused, again]
        raise _GivenUp(verdict)


def _judged(reply: Reply, label: str, authoring: Authoring) -> tuple[Activity | None, str]:
    """The activity, or None, and the verdict."""
    try:
        if reply.problem:
            raise BadInput(reply.problem)
        if reply.finish_reason == "length":
            raise BadInput("cut off at the limit of length; be shorter")
        return _activity(reply.text, label, authoring), ACCEPTED
    except BadInput as error:
        return None, short(str(error))


def _activity(answer: str, label: str, authoring: Authoring) -> Activity:
    """The activity that an answer describes. BadInput says in few words what is wrong in it."""
    if len(answer) > LONGEST_ANSWER:
        raise BadInput(f"longer than {LONGEST_ANSWER} characters; be shorter")
    text = answer.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON ({error})") from None
    given = root.get("sub_actions") if isinstance(root, dict) else None
    if isinstance(given, list) and len(given) != authoring.count:
        raise BadInput(f"sub_actions: {len(given)} of them; give exactly {authoring.count}")
    # The text goes into a bank of one as it is, and not `root`, so that parse_bank sees keys that stand there twice.
    # As json.loads found it to be one whole value, it cannot reach out of its place.
    frame = {"schema": SCHEMA, "name": "answer", "provenance": dict.fromkeys(PROVENANCE, "")}
    bank = f'{json.dumps(frame)[:-1]}, "activities": {{{json.dumps(label)}: {text}}}}}'
    try:
        activity = parse_bank(bank.encode(), Path("answer")).activities[0]
    except BadInput as error:
        told = re.sub(r"^answer(:\d+)?: ", "", str(error))
        raise BadInput(told.removeprefix(f"activities.{label}.")) from None
    faults = list(_faults(activity, authoring.style))
    if faults:
        raise BadInput("; ".join(faults))
    return activity


def _faults(activity: Activity, style: Style) -> Iterator[str]:
    """What a bank may be and an answer may not."""
    for key in ("keywords", "sentence", "affirmative", "negative"):
        if not getattr(activity, key):
            yield f"{key}: is empty"
    texts = [activity.text, activity.sentence, *activity.keywords, *activity.affirmative, *activity.negative]
    texts += [text for sub_action in activity.sub_actions for text in (sub_action.arm, sub_action.leg)]
    if not "".join(texts).isprintable():  # they are shown in terminals
        yield "every text must be one line without control characters"
    seen: set[str] = set()
    for i, sub_action in enumerate(activity.sub_actions):
        place = f"sub_actions[{i}]"
        phrase = " ".join(sub_action.arm.casefold().split())
        if phrase in seen:
            yield f"{place}.arm: {sub_action.arm!r} stands there twice"
        seen.add(phrase)
        if style == "merged" and sub_action.leg:
            yield f"{place}.leg: must be '', arm holds the whole sentence"
        if style != "merged" and not sub_action.leg:
            yield f"{place}.leg: is empty"
        if style == "keywords" and len(phrase.split()) > KEYWORD_WORDS:
            yield f"{place}.arm: {len(phrase.split())} words; give 1 to {KEYWORD_WORDS}"


def _load_prompts(authoring: Authoring) -> dict[str, str]:
    """File name -> text of system, user and retry prompt. BadInput names the file, and the placeholder it lacks."""
    folder = authoring.prompts or Path(str(resources.files("mmvq_train") / "prompts"))
    prompts = {}
    for name, needed in (("system.txt", ()), (f"{authoring.style}.txt", ("label", "count")), ("retry.txt", ("error",))):
        path = folder / name
        try:
            prompts[name] = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}; --prompts needs this file") from None
        except UnicodeDecodeError:
            raise BadInput(f"{path}: is no UTF-8 text") from None
        template = Template(prompts[name])
        known = ("label", "words", "count", *(("error",) if name == "retry.txt" else ()))
        if not template.is_valid() or not set(template.get_identifiers()) <= set(known):
            raise BadInput(f"{path}: a $ must begin one of ${', $'.join(known)}; write $$ for the sign itself")
        for placeholder in needed:
            if placeholder not in template.get_identifiers():
                raise BadInput(f"{path}: lacks ${placeholder}")
    return prompts
