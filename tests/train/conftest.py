import json
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out

import chat_desk
from chat_desk import Desk, Server
from report_page import trained as trained

from mmvq_train.text import Bank, embed_bank, embeddings_path, endpoint, load_bank, save_embeddings


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Nets this small lose time by sharing the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def wisdm() -> Bank:
    return load_bank("wisdm")


@pytest.fixture
def root() -> dict[str, Any]:
    """A bank's JSON for a test to change: 15 sub-actions, of which `lift` and `lower` stand in two activities."""

    def activity(*arms: str) -> dict[str, Any]:
        sub_actions = [{"arm": arm, "leg": "", "wrist_observable": True} for arm in arms]
        lists: dict[str, list[str]] = {"keywords": [], "affirmative": [], "negative": []}
        return {"text": "one thing", "sentence": "", "sub_actions": sub_actions, **lists}

    return {
        "schema": 1,
        "name": "small",
        "provenance": {"author": "a person", "prompt": "", "model": "", "date": "2026-11-22"},
        "activities": {
            "soup": activity("lift", "lower", "dip", "stir", "tip"),
            "chips": activity("lift", "lower", "dig", "pinch", "pull"),
            "typing": activity("tap", "rest", "reach", "slide", "hover"),
        },
    }


@pytest.fixture
def small(root: dict[str, Any], tmp_path: Path) -> tuple[Bank, Path]:
    """That bank in a file, with embeddings by spelling beside it: the bank, and the embeddings' file."""
    source = tmp_path / "small.json"
    source.write_text(json.dumps(root), encoding="utf-8")
    bank = load_bank(source)
    save_embeddings(embed_bank(bank, "hashed-ngrams"), embeddings_path(source))
    return bank, embeddings_path(source)


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
def desk(server: Server, plain_surroundings: None, tmp_path: Path) -> Desk:
    return Desk(server, tmp_path / "banks" / "kitchen.json")


@pytest.fixture
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no variables that the client reads by itself, and one retry instead of five."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint, "RETRIES", 1)
    # Each client reads all certificates of the machine, half of the time of these tests; nothing here speaks TLS.
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: chat_desk.PLAIN_TLS)
