"""What tests of mmvq-bridge record share: where its device and its file are, and that nothing of it stays behind."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from record_parts import end_all


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "wrist"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "walk.parquet"
