"""docs/tutorial.md shows the commands that scripts/tutorial.sh runs (`make tutorial`)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = re.findall(r"^    (mmvq-.*)$", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.MULTILINE)
RUN = (ROOT / "scripts" / "tutorial.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [line for line in SHOWN if " simulate " not in line])
def test_what_the_tutorial_shows_is_what_its_script_runs(command: str) -> None:
    assert command.replace("/dev/ttyACM0", "wrist") in RUN


def test_the_tutorial_has_all_five_steps() -> None:
    assert len(SHOWN) == 6
