"""A chat endpoint that misbehaves as told, for the tests of mmvq-bank write: a real HTTP server and its desk."""

import json
import ssl
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from mmvq_train.text.bank import Bank
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


GOOD = json.dumps(activity())


def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "system.txt").write_text('Write {"json": $count}.')
    (folder / "arm-leg.txt").write_text('$words, called "$label", $count of it for $$5')
    (folder / "retry.txt").write_text("No, $label: $error")
    return folder
