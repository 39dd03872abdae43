"""mmvq-bridge record when something ends it or its device: a signal, a full disk, a lost port, a reset, silence."""

import shlex
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from record_parts import Recorded, device, indices, part_of, printing, recorded, refused, stretches

from mmvq_bridge.cli import main
from mmvq_bridge.faults import Faults
from mmvq_bridge.recordings import read_recordings

# A program on a disk with so little room.
ON_A_SMALL_DISK = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    "from mmvq_bridge.cli import main; sys.exit(main())"
)


def test_at_full_speed_no_sample_is_lost_and_a_lost_port_ends_with_the_file_written(link: Path, out: Path) -> None:
    with device(link, 300):
        status, said = recorded("--port", link, "--out", out, "--reconnect", 0, "--label", "walking")
    assert status == 1
    assert f"{out}: recording 0, 30000 samples at 100 Hz, 0 lost: walking 29" in said
    assert "bring it back and start again" in said.splitlines()[-1]
    file = read_recordings(out)
    assert indices(file.recordings[0]) == list(range(30_000))
    (first, label, last) = stretches(file.recordings[0], file)
    assert (first[0], label[0], last[0]) == ("", "walking", "")
    assert label[1] <= 2
    assert last[1] == pytest.approx(298, abs=0.01)


def test_an_unplugged_device_is_waited_for_and_what_it_sends_then_is_another_recording(link: Path, out: Path) -> None:
    with device(link, 40, speed=20.0, faults=Faults(unplug_s=15, replug_s=5)):
        status, said = recorded("--port", link, "--out", out, "--label", "walking", "--reconnect", 2)
    assert status == 1
    assert "lost (" in said
    assert "back again" in said
    file = read_recordings(out)
    assert len(file.recordings) == 2
    first, second = map(indices, file.recordings)
    assert first == list(range(1500))
    assert second == list(range(second[0], second[0] + len(second)))
    assert second[0] >= 2000


def test_a_reset_begins_another_recording_in_which_the_label_goes_on(link: Path, out: Path) -> None:
    with device(link, 20, speed=40.0, faults=Faults(reset_s=8)):
        _, said = recorded("--port", link, "--out", out, "--label", "walking", "--settle", 0, "--reconnect", 0)
    file = read_recordings(out)
    assert [r.id for r in file.recordings] == [0, 1]
    first, second = map(indices, file.recordings)
    assert first == list(range(len(first)))
    assert second == list(range(second[0], 2000))
    assert second[0] - first[-1] <= 10  # the frame that the reset took
    assert [stretches(r, file)[0][0] for r in file.recordings] == ["walking", "walking"]
    assert all(r.t[0] == 0 and (np.diff(r.t) >= 0).all() for r in file.recordings)
    assert "the device has started anew: recording 1 from here on" in said


def test_when_nothing_comes_that_is_told_and_no_file_is_left(tmp_path: Path) -> None:
    out = tmp_path / "walk.csv"
    with printing(b"") as (port, _):
        run = Recorded("--port", port, "--out", out)
        run.says("nothing came for 3 s; is the device on, and is it the right port?")
        run.type("quit")
        assert run.end() == 1
    assert run.said.splitlines()[-1].startswith(f"mmvq-bridge: no sample came, so there is no {out}; ")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_writes_the_file_and_is_130(link: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk.csv"
    with device(link, 200, speed=20.0):
        run = Recorded("--port", link, "--out", out)
        run.keeps(out, 300)
        assert run.end(signal.SIGINT) == 130
    assert len(read_recordings(out).recordings[0].t) >= 300
    assert not part_of(out).exists()
    assert "next: mmvq-train needs two labels" in run.said


def test_after_kill_minus_9_the_file_is_made_of_what_was_heard(
    link: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with device(link, 200, speed=20.0):
        run = Recorded("--port", link, "--out", out, "--settle", "0.5", "--subject", "anna")
        run.keeps(out, 200)
        run.type("walking")
        run.says("walking (new)")
        run.keeps(out, 600)
        assert "another run still writes it; end that one" in refused(capsys, "--out", out, "--finish")
        assert run.end(signal.SIGKILL) == -signal.SIGKILL
    assert not out.exists()
    finishing = f"mmvq-bridge record --out {out} --finish"
    assert f"finish it with {finishing}" in refused(capsys, "--port", link, "--out", out)
    part = part_of(out)
    part.write_bytes(part.read_bytes()[:-7])  # as if the disk had taken half a row
    whole_rows = part.read_bytes().count(b"\n0,anna,,")
    assert main(shlex.split(finishing)[1:]) == 0
    assert f"{out}: recording 0, " in capsys.readouterr().err
    file = read_recordings(out)
    assert indices(file.recordings[0]) == list(range(whole_rows - 1))
    (before, label, after) = stretches(file.recordings[0], file)
    assert (before[0], label[0], after[0]) == ("", "walking", "")
    assert after[2] - after[1] == pytest.approx(0.5, abs=0.02)
    assert file.subjects == ("anna",)
    assert not part.exists()


def test_a_full_disk_ends_it_with_all_whole_rows_kept(
    link: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "walk.csv"
    with device(link, 60):
        run = Recorded(
            "record", "--port", link, "--out", out, "--label", "walking",
            command=[sys.executable, "-c", ON_A_SMALL_DISK],
        )  # fmt: skip
        assert run.end() == 1
    assert f"File too large; make room, then mmvq-bridge record --out {out} --finish" in run.said.splitlines()[-1]
    assert main(["record", "--out", str(out), "--finish"]) == 0
    capsys.readouterr()
    count = len(read_recordings(out).recordings[0].t)
    assert indices(read_recordings(out).recordings[0]) == list(range(count))
    assert count > 400
