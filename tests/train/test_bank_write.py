"""Authoring of a text bank, against a real HTTP server that misbehaves as told."""

import json
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from mmvq_bridge.command import BadInput, Failed
from mmvq_train.text import endpoint
from mmvq_train.text.bank import Bank, load_bank
from mmvq_train.text.cli import main
from mmvq_train.text.write import Authoring, write_bank

KEY = "no-real-key/0123456789"
PROMPTS = Path(str(resources.files("mmvq_train") / "prompts"))
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Turn:
    """One answer of the server. cut: close the connection in the middle of the body."""

    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def contents(self) -> list[str]:
        return [message["content"] for message in self.body["messages"]]

    @property
    def label(self) -> str:
        return self.contents[1].split('called "')[1].split('"')[0]


class Server(ThreadingHTTPServer):
    """Plays its script, a turn a request, and gives good answers after it."""

    daemon_threads = False  # so that closing waits for them

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Turn] = []
        self.asked: list[Asked] = []
        self.forgotten = False  # a connection that nobody closed
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the client may well have hung up
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"  # the connection stays open until the client is closed
    timeout = 2  # seconds after which it was forgotten
    disable_nagle_algorithm = True  # head and body are two writes, and would wait 40 ms for each other

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.server.asked.append(asked)
        turn = self.server.script.pop(0) if self.server.script else completion(activity(asked.label))
        self.server.closing.wait(turn.wait_s)
        data = turn.body.replace("{authorization}", asked.headers.get("authorization", "")).encode()
        self.send_response(turn.status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(data))} | turn.headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if turn.cut else data)
        self.close_connection = turn.cut

    def log_message(self, *_: object) -> None:
        pass

    def log_error(self, *_: object) -> None:
        self.server.forgotten = True


@dataclass
class Desk:
    """A server, a place for the bank, and what was said."""

    server: Server
    out: Path
    said: list[str] = field(default_factory=list)

    @property
    def asked(self) -> list[Asked]:
        return self.server.asked

    @property
    def journal(self) -> Path:
        return self.out.with_name("kitchen.answers.jsonl")

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The journal's lines after the settings."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()[1:]]

    def play(self, *turns: Turn) -> None:
        self.server.script[:] = turns
        self.server.asked.clear()
        self.said.clear()

    def write(self, *labels: str, key: str | None = KEY, **options: Any) -> Bank:
        authoring = Authoring(**{"endpoint": self.server.url, "model": "small-model", "timeout_s": 5.0} | options)
        return write_bank(labels or ("soup",), self.out, authoring, key, self.said.append)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()
    assert not server.forgotten


@pytest.fixture
def desk(server: Server, tmp_path: Path) -> Desk:
    return Desk(server, tmp_path / "banks" / "kitchen.json")


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no variables that the client reads by itself, and one retry instead of five."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint, "RETRIES", 1)
    # Each client reads all certificates of the machine, half of the time of these tests; nothing here speaks TLS.
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: PLAIN_TLS)


def activity(label: str = "soup", count: int = 10, **changes: Any) -> dict[str, Any]:
    arms = [f"hand lifts spoon {number}" for number in NUMBERS[:count]]
    whole = {
        "text": f"doing {label}",
        "keywords": [label],
        "sentence": f"A person does {label}.",
        "affirmative": ["The hand moves."],
        "negative": ["The hand does not rest."],
        "sub_actions": [{"arm": arm, "leg": "thighs rest", "wrist_observable": True} for arm in arms],
    }
    return whole | changes


def with_sub_action(i: int, **changes: Any) -> dict[str, Any]:
    whole = activity()
    whole["sub_actions"][i] |= changes
    return whole


def completion(content: object, finish_reason: str = "stop", model: str = "small-model-2026") -> Turn:
    text = json.dumps(content) if isinstance(content, dict | list) else content
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return Turn(json.dumps({"object": "chat.completion", "model": model, "choices": [choice]}))


def failure(status: int, message: str, **headers: str) -> Turn:
    return Turn(json.dumps({"error": {"message": message}}), status, headers)


PLAIN_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SOON = {"retry-after-ms": "1"}  # the client obeys, so no test waits for its back-off

# What is written --------------------------------------------------------------------------------------------------


def test_a_bank_is_written_with_one_question_an_activity(desk: Desk) -> None:
    bank = desk.write("soup", "walkFast_2")
    assert load_bank(desk.out) == bank
    assert bank.labels == ("soup", "walkFast_2")
    assert bank.activities[1].text == "doing walkFast_2"
    assert [s.arm for s in bank.activities[0].sub_actions][:2] == ["hand lifts spoon one", "hand lifts spoon two"]
    assert desk.said == ["1 of 2: soup ... 10 sub-actions", "2 of 2: walkFast_2 ... 10 sub-actions"]
    first, second = desk.asked
    assert first.path == "/v1/chat/completions"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.body["model"] == "small-model"
    assert first.body["response_format"] == {"type": "json_object"}
    assert first.contents[0] == (PROMPTS / "system.txt").read_text()
    assert "exactly 10 objects" in first.contents[1]
    assert 'Activity: walk fast 2 (called "walkFast_2" in the data)' in second.contents[1]


def test_the_bank_says_who_wrote_it_by_which_prompt_and_when(desk: Desk) -> None:
    desk.play(completion(activity()), completion(activity("tea"), model=""))
    desk.write("soup", "tea")
    bank = load_bank(desk.out)
    assert bank.name == "kitchen"
    assert bank.provenance["author"] == "small-model by mmvq-bank write"
    assert bank.provenance["model"] == "small-model-2026, small-model"  # as the endpoint says, or as asked
    system, user = ((PROMPTS / name).read_text() for name in ("system.txt", "arm-leg.txt"))
    assert bank.provenance["prompt"] == f"{system}\n{user}".strip()
    assert bank.provenance["date"] == datetime.now(UTC).date().isoformat()


def test_a_label_that_comes_twice_is_asked_for_once(desk: Desk) -> None:
    assert desk.write("soup", "tea", "soup").labels == ("soup", "tea")
    assert len(desk.asked) == 2


STYLED = {
    "merged": {"arm": "hand lifts the spoon to the mouth while the thighs rest", "leg": ""},
    "arm-leg": {"arm": "hand lifts the spoon to the mouth", "leg": "thighs rest on the chair"},
    "keywords": {"arm": "spoon to mouth", "leg": "thighs rest"},
}


def styled(style: str) -> dict[str, Any]:
    whole = activity(count=5)
    for i, sub_action in enumerate(whole["sub_actions"]):
        arm = STYLED[style]["arm"].replace("spoon", f"spoon{i}")
        sub_action |= {"arm": arm, "leg": STYLED[style]["leg"]}
    return whole


@pytest.mark.parametrize("style", STYLED)
def test_each_style_has_its_own_prompt_and_takes_its_own_answers(desk: Desk, style: str) -> None:
    desk.play(completion(styled(style)))
    bank = desk.write(style=style, count=5)
    assert len(desk.asked) == 1
    assert "exactly 5 objects" in desk.asked[0].contents[1]
    assert (PROMPTS / f"{style}.txt").read_text().strip() in bank.provenance["prompt"]


@pytest.mark.parametrize(
    ("style", "given", "error"),
    [
        ("merged", "arm-leg", "sub_actions[0].leg: must be ''"),
        ("arm-leg", "merged", "sub_actions[0].leg: is empty"),
        ("keywords", "arm-leg", "sub_actions[0].arm: 7 words; give 1 to 4"),
        ("keywords", "merged", "sub_actions[0].leg: is empty"),
    ],
)
def test_an_answer_in_another_style_is_refused(desk: Desk, style: str, given: str, error: str) -> None:
    desk.play(completion(styled(given)), completion(styled(style)))
    desk.write(style=style, count=5)
    assert error in desk.asked[1].contents[3]


@pytest.mark.parametrize("style", STYLED)
def test_the_example_in_each_prompt_keeps_the_rules_that_the_prompt_gives(desk: Desk, style: str) -> None:
    example = json.loads((PROMPTS / f"{style}.txt").read_text().splitlines()[-1])
    more = [example["sub_actions"][0] | {"arm": f"saw {i}"} for i in range(2)]
    desk.play(completion(example | {"sub_actions": example["sub_actions"] + more}))
    desk.write(style=style, count=5)
    assert len(desk.asked) == 1


@pytest.mark.parametrize("fence", ["```json\n%s\n```", "```\n%s\n```\n", "\n  %s\n\n"])
def test_code_fences_and_blank_lines_around_an_answer_are_no_fault(desk: Desk, fence: str) -> None:
    desk.play(completion(fence % json.dumps(activity())))
    desk.write()
    assert len(desk.asked) == 1


# What passes by waiting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        failure(429, "slow down", **{"Retry-After": "0.01"}),
        failure(500, "out of memory", **SOON),
        failure(503, "model is loading", **SOON),
        Turn("{}", wait_s=0.5),
        Turn(completion(activity()).body, cut=True),
    ],
    ids=["429", "500", "503", "timeout", "half an answer"],
)
def test_trouble_that_passes_is_waited_out_and_costs_no_attempt(desk: Desk, trouble: Turn) -> None:
    desk.play(trouble)
    desk.write(timeout_s=0.25, attempts=1)
    assert len(desk.asked) == 2
    assert desk.asked[0].body == desk.asked[1].body
    assert load_bank(desk.out).labels == ("soup",)


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (failure(429, "quota used up", **SOON), "quota used up.*wait until"),
        (failure(500, "out of memory", **SOON), "out of memory.*try again later"),
        (Turn("{}", wait_s=0.5), r"no answer within 0.25 s, 2 times; give a longer --timeout-s"),
    ],
    ids=["429", "500", "timeout"],
)
def test_trouble_that_stays_ends_the_run(desk: Desk, trouble: Turn, told: str) -> None:
    desk.play(trouble, trouble)
    with pytest.raises(Failed, match=told):
        desk.write("soup", "tea", timeout_s=0.25)
    assert len(desk.asked) == 2
    assert not desk.out.exists()


# Answers that are refused ------------------------------------------------------------------------------------------

GOOD = json.dumps(activity())


@pytest.mark.parametrize(
    ("turn", "error"),
    [
        (completion("Here you are: soup!"), "not JSON"),
        (completion(GOOD[:-20]), "not JSON"),
        (completion("[" * 50_000), "not JSON"),
        (completion(GOOD + ', "tea": {}'), "not JSON"),
        (completion([activity()]), "activities.soup: must be an object, not list"),
        (completion({"name": "soup"}), "sub_actions: is missing"),
        (completion(activity(keywords="soup")), "keywords: must be a list"),
        (completion(activity(sub_actions=["hand lifts"] * 10)), "sub_actions[0]: must be an object"),
        (completion(activity(count=9)), "sub_actions: 9 of them; give exactly 10"),
        (completion(activity(count=12)), "sub_actions: 12 of them; give exactly 10"),
        (completion(with_sub_action(3, arm="Hand  lifts spoon ONE")), "'Hand lifts spoon ONE' stands there twice"),
        (completion(GOOD[:-1] + ', "text": "tea"}'), "'text' stands there twice"),
        (completion(with_sub_action(0, wrist_observable="yes")), "[0].wrist_observable: must be true or false"),
        (completion(with_sub_action(2, leg="")), "sub_actions[2].leg: is empty"),
        (completion(activity(keywords=[], affirmative=[])), "keywords: is empty; affirmative: is empty"),
        (completion(activity(sentence=" ", negative=[])), "sentence: is empty; negative: is empty"),
        (completion(with_sub_action(0, arm="hand \x1b[2J lifts")), "without control characters"),
        (completion(with_sub_action(0, arm="hand \ud800 lifts")), "surrogates not allowed"),
        (completion(GOOD, finish_reason="length"), "cut off at the limit of length"),
        (completion(activity(text="soup " * 20_001)), "longer than 100000 characters"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_sent_back_with_what_is_wrong_in_it(desk: Desk, turn: Turn, error: str) -> None:
    desk.play(turn)
    desk.write("soup")
    first, again = (asked.body["messages"] for asked in desk.asked)
    answer = json.loads(turn.body)["choices"][0]["message"]["content"]
    assert again[:2] == first
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert again[2]["content"] == answer[: endpoint.QUOTED]
    assert error in again[3]["content"]
    assert "Answer again" in again[3]["content"]
    assert [error in entry["verdict"] for entry in desk.entries] == [True, False]
    assert desk.entries[0]["answer"] == answer[: endpoint.LONGEST_ANSWER + 1]
    assert desk.said == ["1 of 1: soup ... 10 sub-actions, 1 retry"]
    assert load_bank(desk.out).activities[0].text == "doing soup"


def test_the_conversation_grows_with_every_refused_answer(desk: Desk) -> None:
    desk.play(completion("first"), completion("second"))
    desk.write()
    assert [message["content"] for message in desk.asked[2].body["messages"] if message["role"] == "assistant"] == [
        "first",
        "second",
    ]
    assert desk.said == ["1 of 1: soup ... 10 sub-actions, 2 retries"]


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (Turn("<html>Log in</html>", headers={"Content-Type": "text/html"}), "no chat completion in it: <html>Log in"),
        (Turn("<html>Log in</html>"), "no chat completion in it: <html>Log in"),
        (Turn(""), "no chat completion"),
        (Turn('"soup"'), "no chat completion"),
        (Turn("[]"), "no chat completion"),
        (Turn('{"error": {"message": "upstream is down"}}'), "upstream is down"),
        (Turn('{"choices": []}'), "no chat completion"),
        (Turn('{"choices": null}'), "no chat completion"),
        (Turn('{"choices": ["soup"]}'), "no chat completion"),
        (Turn("[" * 50_000), "no chat completion"),
        (completion(None, finish_reason="content_filter"), "no content in the answer"),
        (completion(" \n"), "no content in the answer"),
        (completion(7), "no content in the answer"),
    ],
)  # fmt: skip
def test_a_reply_that_is_no_answer_is_asked_for_again_from_the_start(desk: Desk, turn: Turn, told: str) -> None:
    desk.play(turn)
    desk.write()
    assert desk.asked[0].body == desk.asked[1].body
    assert told in desk.entries[0]["verdict"]
    assert desk.entries[1]["verdict"] == "accepted"


def test_an_activity_without_a_usable_answer_is_given_up_and_the_others_go_on(desk: Desk) -> None:
    desk.play(completion("no"), completion("never"))
    with pytest.raises(
        Failed, match=r"kitchen\.json: not written, no usable answer for soup \(not JSON .* asks only these"
    ):
        desk.write("soup", "tea", attempts=2)
    assert [asked.label for asked in desk.asked] == ["soup", "soup", "tea"]
    assert desk.said[0].startswith("1 of 2: soup ... given up after 2 answers: not JSON")
    assert [path.name for path in desk.out.parent.iterdir()] == ["kitchen.answers.jsonl"]

    desk.play()
    assert desk.write("soup", "tea", attempts=2).labels == ("soup", "tea")
    assert [asked.label for asked in desk.asked] == ["soup"]
    assert desk.said[1] == "2 of 2: tea ... kept from the journal"


# Errors that do not pass -------------------------------------------------------------------------------------------


def test_an_endpoint_without_response_format_is_asked_without_it_from_then_on(desk: Desk) -> None:
    desk.play(failure(400, "response_format is not supported"))
    desk.write("soup", "tea", attempts=1)
    assert ["response_format" in asked.body for asked in desk.asked] == [True, False, False]
    assert "response_format is not supported" in desk.said[0]
    assert "asking without response_format" in desk.said[0]


def test_a_bad_request_that_is_not_about_response_format_ends_the_run(desk: Desk) -> None:
    desk.play(failure(400, "context is too long"), failure(400, "context is too long"))
    with pytest.raises(Failed, match="context is too long"):
        desk.write("soup", "tea")
    assert len(desk.asked) == 2


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "set OPENAI_API_KEY"), (403, "may not do that"), (404, "--model .* /v1"), (405, "manual")],
)
def test_an_error_that_waiting_does_not_cure_ends_the_run_at_once(desk: Desk, status: int, remedy: str) -> None:
    desk.play(completion(activity()), failure(status, "no such thing"))
    with pytest.raises(Failed, match=rf"{desk.server.url}: .*no such thing.*; .*{remedy}"):
        desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["soup", "tea"]
    assert desk.entries[1]["answer"] is None
    assert "no such thing" in desk.entries[1]["verdict"]
    assert not desk.out.exists()

    desk.play()
    desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["tea", "bread"]


def test_where_nobody_listens_the_run_ends_and_asks_whether_the_server_runs(desk: Desk) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Failed, match=rf"127\.0\.0\.1:{port}/v1: no connection \(.*refused\); is the server running"):
        desk.write(endpoint=f"http://127.0.0.1:{port}/v1")


def test_without_the_openai_package_the_message_says_how_to_get_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(BadInput, match=r"needs the openai package .* pip install 'mmvq\[bank\]'"):
        desk.write()
    assert not desk.journal.exists()


# The key -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 252])  # the second has the cut of a long message fall into the key
@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_key_that_an_error_echoes_is_told_nowhere(
    desk: Desk, status: int, before: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = failure(status, "x" * before + " bad header '{authorization}'", **SOON)
    desk.play(echo, echo)
    with pytest.raises(Failed) as caught:
        desk.write()
    shown = "".join(traceback.format_exception(caught.value))
    for text in (shown, desk.journal.read_text(), *desk.said, caplog.text, *capfd.readouterr()):
        assert KEY[:8] not in text
    assert "bad header 'Bearer ***" in str(caught.value)


def test_a_key_that_an_answer_echoes_reaches_neither_bank_nor_journal_nor_the_next_question(desk: Desk) -> None:
    escaped = KEY.replace("/", "\\/")  # as PHP writes it
    desk.play(
        Turn("<html>{authorization}"),
        completion(f"what is {KEY}?", model=KEY),
        Turn(completion(activity(text=f"tea {KEY}"), model=KEY, finish_reason="length").body.replace(KEY, escaped)),
        completion(json.dumps(activity(text=f"soup {KEY}")).replace(KEY, escaped), model=KEY, finish_reason=KEY),
    )
    bank = desk.write()
    assert bank.activities[0].text == "soup ***"
    assert bank.provenance["model"] == "***"
    assert "what is ***?" in desk.asked[2].contents[2]
    for text in (desk.journal.read_text(), desk.out.read_text(), *desk.said):
        assert KEY not in text
        assert escaped not in text
    assert len(desk.asked) == 4


def test_a_redirect_to_another_server_does_not_take_the_key_along(desk: Desk) -> None:
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        desk.play(Turn("", 307, {"Location": f"{other.url}/chat/completions"}))
        desk.write()
        other.shutdown()
        thread.join()
    assert "authorization" in desk.asked[0].headers
    assert "authorization" not in other.asked[0].headers


def test_a_placeholder_for_a_key_does_not_spoil_the_answers(desk: Desk) -> None:
    desk.play(completion(with_sub_action(0, arm="forearm extends")))
    assert desk.write(key="x").activities[0].sub_actions[0].arm == "forearm extends"


def test_without_a_key_the_endpoint_is_asked_all_the_same(desk: Desk) -> None:
    desk.write(key=None)
    assert desk.asked[0].headers["authorization"] == "Bearer none"


def test_a_key_with_a_line_break_at_its_end_is_taken_without(desk: Desk) -> None:
    desk.write(key=f"{KEY}\n")
    assert desk.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["no-real\nkey", "no-real-kéy"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(desk: Desk, key: str) -> None:
    with pytest.raises(BadInput, match="OPENAI_API_KEY has characters") as caught:
        desk.write(key=key)
    assert "no-real" not in str(caught.value)


# The journal -------------------------------------------------------------------------------------------------------


def test_the_journal_begins_with_the_settings_and_keeps_every_question_and_answer(desk: Desk) -> None:
    desk.play(completion("no", finish_reason="stop"))
    desk.write()
    settings = json.loads(desk.journal.read_text().splitlines()[0])
    assert list(settings) == ["schema", "endpoint", "model", "style", "count", "prompts_sha256", "prompts"]
    assert settings["endpoint"] == desk.server.url
    assert len(settings["prompts_sha256"]) == 64
    assert settings["prompts"] == {
        name: (PROMPTS / name).read_text() for name in ("system.txt", "arm-leg.txt", "retry.txt")
    }
    first, second = desk.entries
    assert (first["label"], first["attempt"], first["answer"], first["finish_reason"]) == ("soup", 1, "no", "stop")
    assert (first["model"], first["answered_by"]) == ("small-model", "small-model-2026")
    assert first["messages"] == desk.asked[0].body["messages"]
    assert first["verdict"].startswith("not JSON")
    assert datetime.fromisoformat(first["date"]).utcoffset() == datetime.now(UTC).utcoffset()
    assert (second["attempt"], second["verdict"]) == (2, "accepted")
    assert second["messages"] == desk.asked[1].body["messages"]
    assert json.loads(second["answer"]) == activity()


def stopped_after(desk: Desk, *labels: str) -> None:
    """A run of soup, tea and bread that an error ended after these were accepted."""
    desk.play(*(completion(activity(label)) for label in labels), failure(401, "no"))
    with pytest.raises(Failed):
        desk.write("soup", "tea", "bread")
    desk.play()


def test_a_run_is_taken_up_at_another_endpoint_with_the_same_model(desk: Desk) -> None:
    stopped_after(desk, "soup")
    other_url = desk.server.url.replace("/v1", "/other/v1")
    bank = desk.write("soup", "tea", "bread", endpoint=other_url)
    assert [asked.label for asked in desk.asked] == ["tea", "bread"]
    assert [entry["endpoint"] for entry in desk.entries] == [desk.server.url] * 2 + [other_url] * 2
    assert bank.labels == ("soup", "tea", "bread")
    assert bank.provenance["model"] == "small-model-2026"


@pytest.mark.parametrize("tail", ['{"label": "bre', '{"label": "bread"}\n', "\0\0\0\0\n", "\0\0\0\0"])
def test_a_torn_last_line_is_cut_off_and_only_what_is_missing_is_asked(desk: Desk, tail: str) -> None:
    stopped_after(desk, "soup", "tea")
    whole = desk.journal.read_text()
    desk.journal.write_text(whole + tail)
    desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["bread"]
    after = desk.journal.read_text()
    assert after.startswith(whole)
    assert [json.loads(line)["label"] for line in after[len(whole) :].splitlines()] == ["bread"]


def test_an_answer_whose_line_was_torn_is_asked_for_again(desk: Desk) -> None:
    stopped_after(desk, "soup", "tea")
    lines = desk.journal.read_text().splitlines(keepends=True)
    desk.journal.write_text("".join(lines[:2]) + lines[2][:-40])
    desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["tea", "bread"]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (1, "{}"),
        (1, "not a journal"),
        (2, '{"label": "soup"'),
        (2, "[]"),
        (2, '{"label": "soup", "verdict": "accepted"}'),
    ],
)
def test_a_damaged_line_in_the_middle_is_refused_by_its_number(desk: Desk, number: int, line: str) -> None:
    stopped_after(desk, "soup", "tea")
    lines = desk.journal.read_text().splitlines()
    lines[number - 1] = line
    damaged = "\n".join(lines) + "\n"
    desk.journal.write_text(damaged)
    with pytest.raises(BadInput, match=rf"kitchen\.answers\.jsonl: line {number} is damaged; mend it, or move"):
        desk.write("soup", "tea", "bread")
    assert desk.asked == []
    assert desk.journal.read_text() == damaged


@pytest.mark.parametrize("text", ["", "a shopping list"])
def test_a_file_that_is_no_journal_is_left_as_it_is(desk: Desk, text: str) -> None:
    desk.out.parent.mkdir()
    desk.journal.write_text(text)
    with pytest.raises(BadInput, match="line 1 is damaged"):
        desk.write()
    assert desk.journal.read_text() == text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "large-model"}, "begun with model 'small-model', not 'large-model'"),
        ({"style": "keywords"}, "begun with style 'arm-leg', not 'keywords'"),
        ({"count": 5}, "begun with count 10, not 5"),
    ],
)
def test_a_journal_of_other_settings_is_refused_by_the_setting(desk: Desk, options: dict[str, Any], told: str) -> None:
    stopped_after(desk, "soup")
    with pytest.raises(BadInput, match=f"{told}; move it away, or give another --out"):
        desk.write("soup", "tea", **options)
    assert desk.asked == []


def test_a_journal_of_other_prompts_is_refused(desk: Desk, tmp_path: Path) -> None:
    stopped_after(desk, "soup")
    (prompts(tmp_path) / "retry.txt").write_text("No: $error")
    with pytest.raises(BadInput, match="begun with other prompts; move it away"):
        desk.write("soup", "tea", prompts=tmp_path / "prompts")


def test_an_accepted_answer_that_would_not_be_accepted_today_is_asked_for_again(desk: Desk) -> None:
    stopped_after(desk, "soup", "tea")
    lines = [json.loads(line) for line in desk.journal.read_text().splitlines()]
    lines[1]["answer"] = json.dumps(activity(count=6))
    desk.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(desk.write("soup", "tea", "bread").activities[0].sub_actions) == 10
    assert [asked.label for asked in desk.asked] == ["soup", "bread"]


# What cannot begin -------------------------------------------------------------------------------------------------


def test_an_existing_bank_is_not_written_over(desk: Desk) -> None:
    desk.out.parent.mkdir()
    desk.out.write_text("precious")
    with pytest.raises(BadInput, match=r"kitchen\.json: is there already; give another --out or move it away"):
        desk.write()
    assert desk.out.read_text() == "precious"
    assert desk.asked == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 4}, "--count 4: give 5 to 10"),
        ({"count": 11}, "--count 11: give 5 to 10"),
        ({"style": "poem"}, "--style poem: give one of merged, arm-leg, keywords"),
        ({"model": " "}, "--model is empty"),
        ({"attempts": 0}, "--attempts 0: give 1 or more"),
        ({"timeout_s": 0.0}, "--timeout-s 0.0: give"),
        ({"timeout_s": float("nan")}, "--timeout-s nan: give"),
        ({"timeout_s": float("inf")}, "--timeout-s inf: give"),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Authoring(**{"endpoint": "http://localhost:11434/v1", "model": "m"} | options)


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "localhost:11434/v1", "ftp://host/v1", "http://", "http:///v1", "http://host:port/v1", "http://host:99999/v1",
        "http://[::1/v1", "http://a..b/v1", "http://ho st/v1", "http://host/v1\n", "http://me:secret@host/v1",
        "http://host/v1?key=secret", "http://host/v1#secret",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_no_plain_address_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(BadInput, match=r"--endpoint: give http\(s\)://HOST") as caught:
        Authoring(endpoint, "m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("labels", "told"), [((), "no labels"), (("soup", " "), "' '"), (("a\nb",), r"'a\\nb'")])
def test_labels_that_name_nothing_are_refused(desk: Desk, labels: tuple[str, ...], told: str) -> None:
    authoring = Authoring(desk.server.url, "m")
    with pytest.raises(BadInput, match=told):
        write_bank(labels, desk.out, authoring, None, desk.said.append)
    assert desk.asked == []


# Prompts -----------------------------------------------------------------------------------------------------------


def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "system.txt").write_text('Write {"json": $count}.')
    (folder / "arm-leg.txt").write_text('$words, called "$label", $count of it for $$5')
    (folder / "retry.txt").write_text("No, $label: $error")
    return folder


def test_a_folder_of_prompts_stands_in_for_the_packaged_ones(desk: Desk, tmp_path: Path) -> None:
    desk.play(completion("no"))
    bank = desk.write("soup", prompts=prompts(tmp_path))
    assert desk.asked[1].contents[:2] == ['Write {"json": 10}.', 'soup, called "soup", 10 of it for $5']
    assert desk.asked[1].contents[3].startswith("No, soup: not JSON")
    assert bank.provenance["prompt"] == 'Write {"json": $count}.\n$words, called "$label", $count of it for $$5'


def test_a_label_of_braces_and_dollars_is_taken_as_it_is(desk: Desk) -> None:
    label = "{0} $count ${label} %s \\ /"
    desk.play(completion("no"))
    assert desk.write(label).labels == (label,)
    assert all(f'called "{label}" in the data' in asked.contents[1] for asked in desk.asked)
    assert f'Answer again for "{label}"' in desk.asked[1].contents[3]


@pytest.mark.parametrize("name", ["system.txt", "arm-leg.txt", "retry.txt"])
def test_a_folder_without_one_of_the_prompts_is_refused_by_the_file(desk: Desk, tmp_path: Path, name: str) -> None:
    folder = prompts(tmp_path)
    (folder / name).unlink()
    with pytest.raises(BadInput, match=rf"{name}: No such file or directory; --prompts needs this file"):
        desk.write(prompts=folder)
    assert desk.asked == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("arm-leg.txt", "Give $count of it", r"lacks \$label"),
        ("arm-leg.txt", "Write of $label", r"lacks \$count"),
        ("retry.txt", "Again!", r"lacks \$error"),
        ("system.txt", "Be $kind", r"a \$ must begin one of \$label, \$words, \$count; write \$\$"),
        ("system.txt", "What $error", r"a \$ must begin one of"),
        ("arm-leg.txt", "$label $count for 5 $", r"a \$ must begin one of"),
    ],
)
def test_a_prompt_with_placeholders_that_do_not_fit_is_refused_by_the_file(
    desk: Desk, tmp_path: Path, name: str, text: str, told: str
) -> None:
    folder = prompts(tmp_path)
    (folder / name).write_text(text)
    with pytest.raises(BadInput, match=rf"{name}: {told}"):
        desk.write(prompts=folder)


def test_a_prompt_that_is_no_text_is_refused(desk: Desk, tmp_path: Path) -> None:
    folder = prompts(tmp_path)
    (folder / "system.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"system\.txt: is no UTF-8 text"):
        desk.write(prompts=folder)


def test_the_command_takes_the_key_from_the_environment_and_names_the_next_step(
    desk: Desk, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    desk.play()
    words = ["--out", desk.out, "--endpoint", desk.server.url, "--model", "small-model", "--count", "10"]
    ended = command(main, "write", "soup, tea", *words)
    assert ended.status == 0
    assert [asked.headers["authorization"] for asked in desk.asked] == [f"Bearer {KEY}"] * 2
    assert load_bank(desk.out).labels == ("soup", "tea")
    assert ended.out == ""
    assert ended.err.splitlines()[-1] == (
        f"next: read it, then mmvq-bank check {desk.out} and mmvq-bank embed {desk.out}"
    )
    assert KEY not in ended.err
