import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Nets this small lose time by sharing the cores."""
    torch.set_num_threads(1)
