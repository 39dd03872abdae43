import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial

import mmvq_bridge
from mmvq_bridge.cli import main
from mmvq_bridge.frames import Data, Decoder, Hello
from mmvq_bridge.recordings import Recording, RecordingFile, write_recordings


def recording(number: int, subject: str, n: int = 100) -> Recording:
    xyz = np.full((n, 3), number / 10, np.float32)
    return Recording(number, subject, np.arange(n) / 20, xyz, np.full(n, -1, np.int32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "walk.csv"
    wearers = (recording(1, "anna"), recording(2, "ben"), recording(3, "anna"))
    write_recordings(path, RecordingFile(str(path), wearers, (), 20.0, True))
    return path


class Simulation:
    """mmvq-bridge simulate in a process of its own, ready for a reader."""

    def __init__(self, *arguments: str | Path) -> None:
        words = [sys.executable, "-m", "mmvq_bridge", "simulate", *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(Path(mmvq_bridge.__file__).parents[1])}
        self.process = subprocess.Popen(
            words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stderr
        self.said = ""
        while "waits for a reader" not in self.said:
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line

    def end(self) -> int:
        out, err = self.process.communicate(timeout=60)
        assert out == ""
        self.said += err
        return self.process.returncode


@pytest.fixture
def played(file: Path, link: Path) -> Iterator[list[bytes]]:
    """What a reader gets of the file, played twice with the same seed and faults."""
    streams = []
    for _ in range(2):
        simulation = Simulation(file, "--link", link, "--speed", "max", "--seed", "5", "--fault", "drop=0.2")
        streams.append(read_all(link))
        assert simulation.end() == 0
    yield streams


def read_all(link: Path) -> bytes:
    stream = b""
    with serial.Serial(str(link), 115200, exclusive=True, timeout=30) as port:
        while True:
            try:
                stream += port.read(max(1, port.in_waiting))
            except OSError:
                return stream


def data_frames(stream: bytes) -> list[Data]:
    return [frame for frame in Decoder().feed(stream) if isinstance(frame, Data)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that a wrong call gets."""
    assert main(list(map(str, arguments))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("mmvq-bridge: ")
    return said.err


def test_recordings_are_played_as_one_wearing_and_the_outcome_is_told(file: Path, link: Path) -> None:
    simulation = Simulation(file, "--link", link, "--speed", "max", "--seed", "5")
    stream = read_all(link)
    assert simulation.end() == 0
    assert "3 recordings, 16.9 s at 20 Hz" in simulation.said
    assert "recording over: 37 frames sent\n" in simulation.said
    hello = Decoder().feed(stream)[0]
    assert isinstance(hello, Hello)
    assert (hello.boot_id, hello.rate_mhz) == (5, 20_000)
    frames = data_frames(stream)
    assert [frame.t_us for frame in frames[9:11]] == [4_500_000, 5_950_000]
    x = np.concatenate([frame.samples for frame in frames])[:, 0]
    np.testing.assert_array_equal(x, np.repeat(np.rint([409.6, 819.2, 1228.8]), 100))
    assert not link.is_symlink()


def test_the_same_seed_and_faults_give_the_same_bytes(played: list[bytes]) -> None:
    assert played[0] == played[1]
    assert 0 < len(data_frames(played[0])) < 30


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        (["--subject", "anna"], [1, 3]),
        (["--recording", "3", "--recording", "2"], [2, 3]),
        (["--subject", "anna", "--recording", "3"], [3]),
    ],
)
def test_some_recordings_can_be_chosen(file: Path, link: Path, choice: list[str], numbers: list[int]) -> None:
    simulation = Simulation(file, "--link", link, "--speed", "max", *choice)
    frames = data_frames(read_all(link))
    assert simulation.end() == 0
    heard = {round(int(frame.samples[0, 0]) / 409.6) for frame in frames}
    assert heard == set(numbers)


def test_unplugging_is_told(file: Path, link: Path) -> None:
    simulation = Simulation(file, "--link", link, "--speed", "max", "--fault", "unplug=3")
    frames = data_frames(read_all(link))
    assert simulation.end() == 0
    assert frames[-1].t_us == 2_500_000
    assert "unplugged: 7 frames sent" in simulation.said


def test_a_replugged_device_is_played_to_the_end_of_the_recording(file: Path, link: Path) -> None:
    faults = ["--fault", "unplug=6", "--fault", "replug=4"]
    simulation = Simulation(file, "--link", link, "--speed", "max", "--seed", "5", *faults)
    stream = read_all(link)
    deadline = time.monotonic() + 30
    while not link.is_symlink() and time.monotonic() < deadline:
        time.sleep(0.01)
    again = read_all(link)
    assert simulation.end() == 0
    boots = [frame.boot_id for frame in Decoder().feed(stream + again) if isinstance(frame, Hello)]
    assert boots == [5, 5, 6, 6]  # at 0, 5, 10 and 15 s; it is unplugged again at 16 s, for more than is left
    assert simulation.said.endswith("samples were not taken; 2 times unplugged\n")
    assert "recording over: " in simulation.said


def test_what_goes_wrong_inside_the_device_is_told(file: Path, link: Path) -> None:
    simulation = Simulation(file, "--link", link, "--speed", "max", "--fault", "overrun=0.3", "--fault", "clock=4290")
    frames = data_frames(read_all(link))
    assert simulation.end() == 0
    lost = 300 - sum(len(frame.samples) for frame in frames)
    assert f"; {lost} samples the device lost" in simulation.said
    assert any(frame.flags & 1 for frame in frames)
    assert frames[-1].t_us < frames[0].t_us  # its clock has wrapped


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_removes_the_link(file: Path, link: Path, number: signal.Signals, status: int) -> None:
    simulation = Simulation(file, "--link", link)
    simulation.process.send_signal(number)
    assert simulation.end() == status
    assert "Traceback" not in simulation.said
    assert not link.is_symlink()


def test_wrong_usage_is_one_line_and_status_2(file: Path, link: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in refused(capsys)
    assert "--link" in refused(capsys, "simulate", file)
    assert "see mmvq-bridge simulate --help" in refused(capsys, "simulate", file, "--link", link, "--speed", "0")
    assert "--speed" in refused(capsys, "simulate", file, "--link", link, "--speed", "fast")
    assert "boot_id" in refused(capsys, "simulate", file, "--link", link, "--seed", "-1")
    assert "'burn=1' is unknown" in refused(capsys, "simulate", file, "--link", link, "--fault", "burn=1")


def test_bad_input_is_one_line_and_status_2(
    file: Path, link: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No such file" in refused(capsys, "simulate", tmp_path / "none.csv", "--link", link)
    assert "no subject 'carl'; it has ben, anna" in refused(
        capsys, "simulate", file, "--link", link, "--subject", "carl"
    )
    assert "no recording 4; it has 1, 2, 3" in refused(capsys, "simulate", file, "--link", link, "--recording", "4")
    both = ["--subject", "ben", "--recording", "1"]
    assert "no such recording by such a subject" in refused(capsys, "simulate", file, "--link", link, *both)
    # The file's rate is a guess and would be told before the port is made, hence the last line only.
    assert main(["simulate", str(file), "--link", str(file)]) == 2
    assert "there already" in capsys.readouterr().err.splitlines()[-1]


def test_without_pseudo_terminals_it_says_so(
    file: Path, link: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(mmvq_bridge, "link", raising=False)
    monkeypatch.setitem(sys.modules, "mmvq_bridge.link", None)
    assert "needs pseudo-terminals" in refused(capsys, "simulate", file, "--link", link)


def test_help_and_version_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in [
        (["--version"], mmvq_bridge.__version__),
        (["simulate", "--help"], "mmvq-run --port /tmp/wrist"),
        (["simulate", "--help"], "  reorder  share of frames that change places with the next one, 0 to 1\n"),
    ]:
        with pytest.raises(SystemExit) as ending:
            main(words)
        assert ending.value.code == 0
        assert says in capsys.readouterr().out
