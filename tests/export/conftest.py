import json
from typing import Any

import onnx
import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Nets this small lose time by sharing the cores."""
    torch.set_num_threads(1)


def about(data: bytes) -> dict[str, Any]:
    """What a model file says of itself."""
    return json.loads({p.key: p.value for p in onnx.load_from_string(data).metadata_props}["mmvq"])
