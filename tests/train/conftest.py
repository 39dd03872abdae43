import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mmvq_train.text import Bank, embed_bank, embeddings_path, load_bank, save_embeddings


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
