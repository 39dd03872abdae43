import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out

import tiny_model

from mmvq_run.model import Model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(tiny_model.build())
    return path


@pytest.fixture(scope="session")
def model(model_path: Path) -> Model:
    return Model(model_path)


@pytest.fixture
def run(model_path: Path, capfd: pytest.CaptureFixture[str]):
    """mmvq-run with the tiny model in this process: (status, events or lines, stderr)."""
    from mmvq_run.cli import main

    def run(*words: str, model: str | Path = model_path) -> tuple[int, list[str], str]:
        capfd.readouterr()
        status = main([*map(str, words), "--model", str(model)])
        out, err = capfd.readouterr()
        return status, out.splitlines(), err

    return run
