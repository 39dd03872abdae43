"""mmvq-bridge record is typed to through a pipe while a device plays: what it keeps, and what it refuses."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from record_parts import (
    PATIENCE_S,
    RATE_HZ,
    Recorded,
    device,
    indices,
    part_of,
    printing,
    recorded,
    refused,
    stretches,
)

from mmvq_bridge.cli import main
from mmvq_bridge.recordings import read_recordings


def test_labels_typed_into_a_pipe_are_at_the_samples_of_their_moments(link: Path, out: Path) -> None:
    with device(link, 60, speed=1.0) as played:
        run = Recorded(
            "--port", link, "--out", out, "--settle", 0, "--subject", "Anna B.", "--position", "left wrist",
            "--name", "kitchen",
        )  # fmt: skip
        run.keeps(out, 50)
        typed = []
        for line in ("walking", "sitting", "", "wlaking", "undo"):
            typed.append(run.type(line) - played.booted_s)
            time.sleep(0.4)
        run.type("quit")
        assert run.end() == 0
    file = read_recordings(out)
    assert (file.rate_hz, file.rate_declared, file.subjects, file.labels) == (
        100.0, True, ("Anna B.",), ("sitting", "walking"),
    )  # fmt: skip
    assert file.meta == {
        "mmvq.rate_hz": "100", "mmvq.device": "6d6d76712d73696d", "mmvq.position": "left wrist", "mmvq.name": "kitchen",
    }  # fmt: skip
    (recording,) = file.recordings
    assert indices(recording) == list(range(len(recording.t)))
    np.testing.assert_allclose(recording.t, np.arange(len(recording.t)) / RATE_HZ, atol=1e-6)
    found = stretches(recording, file)
    assert [name for name, *_ in found] == ["", "walking", "sitting", ""]
    for (_, begin, _), at in zip(found[1:], typed, strict=False):
        assert begin == pytest.approx(at, abs=0.2)
    assert "walking (new)" in run.said
    assert "wlaking taken back: no label now" in run.said
    assert list(out.parent.iterdir()) == [out]


def test_it_ends_by_itself_after_so_many_seconds_and_the_end_of_a_pipe_does_not_end_it(link: Path, out: Path) -> None:
    with device(link, 60, speed=10.0):
        run = Recorded("--port", link, "--out", out, "--seconds", 8)
        assert run.process.stdin
        run.process.stdin.write("walking")  # a last line without its end
        run.process.stdin.close()
        assert run.process.wait(PATIENCE_S) == 0
        run.end()
    file = read_recordings(out)
    assert file.recordings[0].t[-1] == pytest.approx(8, abs=0.5)
    assert file.labels == ("walking",)


def test_lines_of_a_hobby_board_are_recorded_in_g(tmp_path: Path) -> None:
    out = tmp_path / "board.csv"
    lines = b"hello, I am a board\r\n" + b"".join(b"%d,0.00,%.2f,9.81\r\n" % (20 * i, i / 500) for i in range(1000))
    with printing(lines) as (port, go):
        run = Recorded("--port", port, "--out", out, "--label", "lying", "--settle", 0)
        run.says("records to")  # opening the port has emptied it
        go.set()
        run.keeps(out, 1004)
        run.type("quit")
        assert run.end() == 0
    file = read_recordings(out)
    (recording,) = file.recordings
    np.testing.assert_allclose(recording.t, np.arange(1000) / 50)
    np.testing.assert_allclose(recording.xyz[:, 2], 9.81 / 9.80665, rtol=1e-6)
    assert stretches(recording, file)[0][0] == "lying"
    assert file.rate_hz == pytest.approx(50)
    assert "taken for m/s²" in run.said


def test_a_bad_label_is_told_and_the_one_before_stays(link: Path, out: Path) -> None:
    with device(link, 100, speed=10.0):
        run = Recorded("--port", link, "--out", out, "--label", "walking")
        for line, says in [
            ("x" * 5000, "characters; at most 60 make one; the label is still walking"),
            ("a\x1b[2Jb", "cannot be printed; use letters, digits and blanks; the label is still walking"),
            ("undo", "walking taken back"),
            ("undo", "nothing to take back"),
        ]:
            run.type(line)
            run.says(says)
        run.keeps(out, 20)
        run.type("quit")
        assert run.end() == 0
    assert read_recordings(out).labels == ()


def test_two_sessions_in_one_file_train_as_they_are(link: Path, out: Path) -> None:
    from mmvq_train.config import Config
    from mmvq_train.data import load_dataset

    said = []
    for boot, label in enumerate(("walking", "sitting")):
        with device(link, 120, boot=boot):
            append = ["--append"] if boot else []
            status, err = recorded("--port", link, "--out", out, "--label", label, "--reconnect", 0, *append)
            assert status == 1
            said.append(err)
    assert "next: mmvq-train needs two labels" in said[0]
    assert f"{out}: added recording 1, 12000 samples at 100 Hz, 0 lost" in said[1]
    assert f"{out}: 2 recordings in it now: sitting 11" in said[1]
    assert f"next: mmvq-train --data {out}" in said[1]
    data = load_dataset(Config(data=str(out)))
    assert data.labels == ("sitting", "walking")
    assert len(data.train) > 5
    assert read_recordings(out).meta["mmvq.device"] == "6d6d76712d73696d"


def test_another_rate_is_not_added_to_a_file_and_that_is_one_line(link: Path, out: Path) -> None:
    with device(link, 20):
        recorded("--port", link, "--out", out, "--reconnect", 0)
    before = out.read_bytes()
    with device(link, 20, rate_hz=50.0):
        status, said = recorded("--port", link, "--out", out, "--append", "--reconnect", 0)
    assert status == 2
    assert said.splitlines()[-1] == "mmvq-bridge: the device has 50 Hz, the file 100 Hz: give another --out"
    assert out.read_bytes() == before
    assert not part_of(out).exists()


def test_a_files_position_is_not_changed_by_adding_to_it(
    link: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with device(link, 5):
        recorded("--port", link, "--out", out, "--position", "left wrist", "--reconnect", 0)
    said = refused(capsys, "--port", link, "--out", out, "--append", "--position", "ankle")
    assert "has --position 'left wrist', and a file has one" in said


def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, new = tmp_path / "there.csv", tmp_path / "new.csv"
    there.write_text("recording,subject,label,t_ms,x,y,z\n0,a,,0,0,0,1\n0,a,,50,0,0,1\n")
    port = ["--port", tmp_path / "none"]
    for words, says in [
        (["--out", new], "--port is missing"),
        (port, "--out"),
        ([*port, "--out", there], f"{there}: there already; add to it with --append"),
        ([*port, "--out", tmp_path / "no" / "a.csv"], "no folder"),
        ([*port, "--out", tmp_path], "a folder; give --out the name of a file in it"),
        ([*port, "--out", ""], "a folder"),
        ([*port, "--out", new], "no such port"),
        ([*port, "--out", new, "--label", "a\nb"], "cannot be printed"),
        ([*port, "--out", new, "--label", "undo"], "what one types to undo"),
        ([*port, "--out", new, "--subject", "x" * 61], "--subject 'xxxxxxxxxxxxxxxxxxxx'... has 61 characters"),
        ([*port, "--out", new, "--keys", "w=walking,w=waving"], "'w' is walking and waving"),
        ([*port, "--out", new, "--keys", "w=walking"], "--keys needs a terminal to press them at"),
        ([*port, "--out", new, "--position", "wrist"], "CSV has no place for --position"),
        ([*port, "--out", new, "--units", "mg"], "--units 'mg' is unknown"),
        ([*port, "--out", new, "--units", "counts:0"], "counts:0"),
        ([*port, "--out", new, "--seconds", 0], "0 is not above 0"),
        ([*port, "--out", new, "--settle", -1], "-1 is no number of seconds"),
        ([*port, "--out", new, "--baud", 0], "--baud 0 is no speed"),
        (["--out", new, "--finish"], f"{new}.part: not there, so there is nothing to finish"),
        ([*port, "--out", Path(__file__), "--append"], "column recording is missing"),
    ]:
        assert says in refused(capsys, *words)
    monkeypatch.setattr("mmvq_bridge.commands.record.find_spec", {}.get)
    assert "needs termios, which this system lacks" in refused(capsys, *port, "--out", new, "--keys", "w=walking")
    assert sorted(tmp_path.iterdir()) == [there]


def test_help_tells_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["record", "--help"])
    said = capsys.readouterr().out
    assert "130 on Ctrl-C (after the file is written)" in said
    assert "--finish" in said
