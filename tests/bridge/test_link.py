import math
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import serial

from mmvq_bridge import link
from mmvq_bridge.command import BadInput
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import Faults, FaultyLine
from mmvq_bridge.frames import Ack, Command, Data, Decoder, Frame, Hello, Ping, Pong, encode
from mmvq_bridge.link import Played, PseudoTerminal, play


def device_of(seconds: float) -> SimulatedDevice:
    t = np.arange(0, seconds, 0.01)
    rng = np.random.default_rng(1)
    return SimulatedDevice(t, rng.normal(size=(len(t), 3)), 100.0)


class Playing:
    """A playback in a thread, as a simulation beside its reader; `played` waits for its end."""

    def __init__(self, path: Path, seconds: float, speed: float, faults: Faults) -> None:
        self.line = FaultyLine(faults, 1)
        self.ready, self.booted = threading.Event(), threading.Event()
        self._outcome: list[Played] = []
        self._thread = threading.Thread(target=self._run, args=(path, device_of(seconds), speed), daemon=True)
        self._thread.start()

    def _run(self, path: Path, device: SimulatedDevice, speed: float) -> None:
        with PseudoTerminal(path) as port:
            self.ready.set()
            outcome = play(port, self.line, device, speed, self.booted.set)
        self._outcome.append(outcome)

    @property
    def played(self) -> Played:
        self._thread.join(60)
        return self._outcome[0]


@contextmanager
def playing(path: Path, seconds: float, speed: float = math.inf, faults: Faults | None = None) -> Iterator[Playing]:
    simulation = Playing(path, seconds, speed, faults or Faults())
    assert simulation.ready.wait(30)
    yield simulation
    assert simulation.played


def open_port(path: Path) -> serial.Serial:
    return serial.Serial(str(path), 115200, exclusive=True, timeout=5)


def read_to_the_end(port: serial.Serial) -> bytes:
    """All bytes until the port vanishes."""
    got = b""
    while True:
        try:
            got += port.read(max(1, port.in_waiting))
        except OSError:  # SerialException is one
            return got


def whole_stream(seconds: float) -> bytes:
    return b"".join(wire for _, wire in device_of(seconds).frames_until(math.inf))


def test_a_reader_gets_every_byte_at_full_speed_and_then_the_port_vanishes(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 200) as simulation, open_port(tmp_path / "wrist") as port:
        assert read_to_the_end(port) == whole_stream(200)
        assert simulation.played.unread == simulation.played.unheard == simulation.played.overrun == 0
    assert not (tmp_path / "wrist").is_symlink()


def test_a_slow_reader_gets_every_byte_at_full_speed_too(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 60) as simulation, open_port(tmp_path / "wrist") as port:
        assert simulation.booted.wait(30)
        time.sleep(0.5)  # by now the port is full
        assert read_to_the_end(port) == whole_stream(60)


def test_the_device_waits_for_its_first_reader_and_a_look_in_does_not_boot_it(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 2) as simulation:
        assert not simulation.booted.wait(0.2)
        open_port(tmp_path / "wrist").close()
        assert not simulation.booted.wait(2 * link.BOOT_DELAY_S)
        with open_port(tmp_path / "wrist") as port:
            assert read_to_the_end(port) == whole_stream(2)


def test_at_a_given_speed_the_bytes_are_the_same(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 6, speed=10.0), open_port(tmp_path / "wrist") as port:
        assert read_to_the_end(port) == whole_stream(6)


def test_the_device_answers_while_it_streams(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 300, speed=100.0), open_port(tmp_path / "wrist") as port:
        decoder, seen = Decoder(), list[Frame]()

        def until(wanted: Callable[[Frame], bool]) -> None:
            while not any(map(wanted, seen)):
                seen.extend(decoder.feed(port.read(max(1, port.in_waiting))))

        until(lambda frame: isinstance(frame, Data))
        assert isinstance(seen[0], Hello)
        port.write(encode(Ping(77)))
        until(lambda frame: isinstance(frame, Pong) and frame.nonce == 77)
        port.write(encode(Command(2, 0)))
        until(lambda frame: frame == Ack(2, 0))
        assert decoder.bad_frames == 0


def test_a_reader_that_leaves_and_returns_finds_a_gap_and_no_old_bytes(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 150, speed=50.0) as simulation:
        with open_port(tmp_path / "wrist") as port:
            first = port.read(2000)
        time.sleep(0.4)
        with open_port(tmp_path / "wrist") as port:
            second = read_to_the_end(port)
        assert simulation.played.unheard > 0

    def times(stream: bytes) -> list[int]:
        return [frame.t_us for frame in Decoder().feed(stream) if isinstance(frame, Data)]

    assert times(second)[0] - times(first)[-1] > 5_000_000
    assert whole_stream(150).endswith(second[-500:])


def test_a_reader_that_returns_and_asks_at_once_is_answered(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 200, speed=50.0) as simulation:
        open_port(tmp_path / "wrist").close()
        with open_port(tmp_path / "wrist") as port:
            assert simulation.booted.wait(30)
        for nonce in range(5):
            time.sleep(0.05)  # until it is seen that nobody is there
            with open_port(tmp_path / "wrist") as port:
                port.write(encode(Ping(nonce)))
                decoder, seen = Decoder(), list[Frame]()
                while not any(isinstance(frame, Pong) and frame.nonce == nonce for frame in seen):
                    data = port.read(max(1, port.in_waiting))
                    assert data, "no answer"
                    seen += decoder.feed(data)


def test_when_the_reader_leaves_for_good_the_recording_still_ends(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 300) as simulation:
        with open_port(tmp_path / "wrist") as port:
            port.read(100)
        played = simulation.played
    assert played.unheard > 0
    assert played.unread == 0


def test_a_reader_that_does_not_read_loses_whole_frames_at_a_given_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "PATIENCE_S", 0.1)
    with playing(tmp_path / "wrist", 400, speed=2000.0) as simulation, open_port(tmp_path / "wrist") as port:
        assert simulation.booted.wait(30)
        time.sleep(1.0)
        decoder = Decoder()
        frames = decoder.feed(read_to_the_end(port))
        assert simulation.played.overrun > 0
    assert decoder.bad_frames == 0
    assert len(frames) == simulation.played.sent


def test_a_reader_that_never_reads_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "FAREWELL_S", 0.2)
    with playing(tmp_path / "wrist", 3) as simulation, open_port(tmp_path / "wrist"):
        assert simulation.played.unread == len(whole_stream(3))


def test_unplugging_ends_the_stream_at_that_device_time(tmp_path: Path) -> None:
    with (
        playing(tmp_path / "wrist", 60, faults=Faults(unplug_s=7.0)),
        open_port(tmp_path / "wrist") as port,
    ):
        frames = Decoder().feed(read_to_the_end(port))
    assert max(frame.t_us for frame in frames if isinstance(frame, Data)) == 6_900_000


def test_a_port_can_be_pulled_and_plugged_in_again_at_the_same_link(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "wrist") as port:
        first = open_port(tmp_path / "wrist")
        assert port.is_open()
        port.unplug()
        port.unplug()
        assert not (tmp_path / "wrist").is_symlink()
        assert (port.is_open(), port.receive(), port.drain()) == (False, b"", 0)
        assert read_to_the_end(first) == b""
        port.plug()
        with open_port(tmp_path / "wrist") as second:
            assert port.is_open()
            assert port.send(b"back", 1.0)
            assert second.read(4) == b"back"
        first.close()
    assert not (tmp_path / "wrist").is_symlink()


def test_what_took_the_links_place_while_unplugged_is_not_overwritten(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "wrist") as port:
        port.unplug()
        (tmp_path / "wrist").write_text("mine")
        with pytest.raises(BadInput, match="there already"):
            port.plug()
    assert (tmp_path / "wrist").read_text() == "mine"


def open_again(path: Path) -> serial.Serial:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return open_port(path)
        except (OSError, termios.error):  # not there yet, or pulled again already
            time.sleep(0.005)
    raise AssertionError("the port did not come back")


def boots(stream: bytes) -> list[int]:
    return [frame.boot_id for frame in Decoder().feed(stream) if isinstance(frame, Hello)]


def test_at_full_speed_a_replugged_device_waits_for_its_reader_and_nothing_is_lost(tmp_path: Path) -> None:
    faults = Faults(unplug_s=4.0, replug_s=1.0)
    with playing(tmp_path / "wrist", 12, faults=faults) as simulation:
        streams = []
        for _ in range(3):
            with open_again(tmp_path / "wrist") as port:
                streams.append(read_to_the_end(port))
        assert simulation.played == Played(sent=103, unheard=0, overrun=0, unread=0, unplugs=2)
    # A second of each pause is not taken, and each boot says HELLO.
    assert [boots(stream) for stream in streams] == [[0], [1], [2]]
    assert [len(Decoder().feed(stream)) for stream in streams] == [41, 41, 21]


def test_at_a_given_speed_a_replugged_device_boots_whether_anyone_is_there_or_not(tmp_path: Path) -> None:
    faults = Faults(unplug_s=5.0, replug_s=2.0)
    heard: list[int] = []
    with playing(tmp_path / "wrist", 40, speed=10.0, faults=faults) as simulation:
        while len(heard) < 2:
            with open_again(tmp_path / "wrist") as port, suppress(OSError):  # pulled in that very moment
                port.write(encode(Command(1, 0)))  # its answer is HELLO, however late we come
                heard += sorted(set(boots(read_to_the_end(port))))
        played = simulation.played  # nobody is there any more
    assert heard[0] == 0 < heard[1]
    assert played.unplugs == 5
    assert played.unheard > 0


def test_a_reset_leaves_the_port_open(tmp_path: Path) -> None:
    with playing(tmp_path / "wrist", 12, faults=Faults(reset_s=4.0)), open_port(tmp_path / "wrist") as port:
        assert boots(read_to_the_end(port)) == [0, 1, 1]


def test_dropped_and_corrupted_frames_reach_the_reader_so(tmp_path: Path) -> None:
    with (
        playing(tmp_path / "wrist", 100, faults=Faults(drop=0.05, corrupt=0.05)) as simulation,
        open_port(tmp_path / "wrist") as port,
    ):
        decoder = Decoder()
        frames = decoder.feed(read_to_the_end(port))
    line = simulation.line
    assert line.dropped > 0
    assert decoder.bad_frames > 0
    everything = len(Decoder().feed(whole_stream(100)))
    # A bit flipped in a closing 00 takes the next frame with it.
    assert everything - line.dropped - 2 * line.corrupted <= len(frames) <= everything - line.dropped - line.corrupted


def test_a_dead_link_of_an_earlier_simulation_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "wrist"
    path.symlink_to("/dev/pts/999999")
    with PseudoTerminal(path) as port:
        assert str(path.readlink()) == port.device
    assert not path.is_symlink()


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "wrist"
    path.write_text("mine")
    with pytest.raises(BadInput, match="there already; remove it"), PseudoTerminal(path):
        pass
    assert path.read_text() == "mine"
    foreign = tmp_path / "foreign"
    foreign.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="there already"), PseudoTerminal(foreign):
        pass
    assert foreign.is_symlink()


def test_a_live_link_of_another_simulation_is_not_taken_over(tmp_path: Path) -> None:
    with (
        PseudoTerminal(tmp_path / "wrist") as first,
        pytest.raises(BadInput, match="there already"),
        PseudoTerminal(tmp_path / "wrist"),
    ):
        pass
    assert not first.link.is_symlink()


def test_a_link_that_someone_replaced_is_left_alone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "wrist"
    with PseudoTerminal(path):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_a_path_where_no_link_can_be_made_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "no such directory" / "wrist"
    with pytest.raises(BadInput, match="No such file or directory; choose a path"), PseudoTerminal(path):
        pass
