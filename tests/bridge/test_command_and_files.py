import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmvq_bridge.command import BadInput, Failed, run_command
from mmvq_bridge.files import atomic


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("walk.csv: no such\nfile"), 2),
        (Failed("walk.csv: no such file"), 1),
        (OSError("walk.csv: no such file"), 1),
    ],
)
def test_an_error_is_one_line_and_a_status(error: Exception, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work(arguments: Sequence[str]) -> None:
        raise error

    assert run_command("mmvq-x", work, []) == status
    assert capsys.readouterr().err == "mmvq-x: walk.csv: no such file\n"


def test_debug_shows_the_traceback_and_is_no_word_of_the_work() -> None:
    seen = []

    def work(arguments: Sequence[str]) -> None:
        seen.extend(arguments)
        raise BadInput("x")

    with pytest.raises(BadInput):
        run_command("mmvq-x", work, ["--debug", "file"])
    assert seen == ["file"]


def test_ctrl_c_is_130_and_silence() -> None:
    def work(arguments: Sequence[str]) -> None:
        raise KeyboardInterrupt

    assert run_command("mmvq-x", work, []) == 130


def test_an_error_of_the_program_itself_is_not_hidden() -> None:
    def work(arguments: Sequence[str]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command("mmvq-x", work, [])


def test_work_that_says_nothing_is_done() -> None:
    assert run_command("mmvq-x", lambda arguments: None, []) == 0
    assert run_command("mmvq-x", lambda arguments: 1, []) == 1


def test_a_file_appears_whole_with_its_folder_and_the_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model.onnx"
    with atomic(target) as part:
        part.write_bytes(b"one")
        assert part.suffix == ".onnx"
        assert not target.exists()
    assert target.read_bytes() == b"one"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    assert list(target.parent.iterdir()) == [target]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic(target) as part:
        part.write_bytes(b"ne")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
