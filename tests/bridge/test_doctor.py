import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doctor_devices import (
    FAULT,
    FINE,
    HELLO,
    UNKNOWN,
    WARNING,
    Firmware,
    data,
    found,
    heard_bytes,
    heard_of,
    moving,
    still,
    stream,
    wrong,
)

from mmvq_bridge.device import Block
from mmvq_bridge.doctor.listener import Listener
from mmvq_bridge.doctor.speech import Line
from mmvq_bridge.faults import KINDS
from mmvq_bridge.findings import Finding
from mmvq_bridge.frames import Ack, Data, Frame, Hello, Pong, Stat, encode
from mmvq_bridge.stream.records import LOST, Kind, Opening, Record, opened

# A device with nothing wrong


@pytest.mark.parametrize("rate_hz", [20.0, 50.0, 100.0, 400.0])
@pytest.mark.parametrize("block", [still, moving], ids=["still", "moving"])
@pytest.mark.parametrize("seconds", [12, 60])
def test_nothing_is_wrong_with_a_clean_device(block: Callable[..., Block], rate_hz: float, seconds: float) -> None:
    findings = found(heard_of(block(seconds, rate_hz), rate_hz=rate_hz))
    assert not wrong(findings)
    # What cannot be known in that time is said to be unknown: the counter wraps after 71 minutes.
    assert [kind for kind, finding in findings.items() if finding.severity is UNKNOWN] == ["wrap"]
    assert findings["rate"].says.startswith(f"{rate_hz:g} Hz by HELLO, {rate_hz:.2f} by t_us (")
    assert "answered with PONG, after 0.0 ms" in findings["ping"].says
    assert findings["start"].says == "COMMAND start acknowledged, after 0.0 ms"


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_wrong_with_a_hand_that_moves_whatever_it_does(seed: int) -> None:
    assert not wrong(found(heard_of(moving(200, 100.0, seed), rate_hz=100.0, seed=seed)))


def test_over_an_hour_the_counters_wrap_and_the_clock_is_known_to_a_part_per_million() -> None:
    findings = found(heard_of(still(80 * 60, 20.0), "drift=30", rate_hz=20.0))
    assert not wrong(findings)
    assert findings["wrap"] == Finding("wrap", FINE, "t_us wrapped 1 time, and went on as it should")
    assert findings["drift"].says == "t_us runs +30 ± 1 ppm against this computer's clock"


def test_in_two_seconds_little_is_wrong_and_much_unknown() -> None:
    findings = found(heard_of(still(2)))
    assert not wrong(findings)
    unknown = {kind for kind, finding in findings.items() if finding.severity is UNKNOWN}
    assert unknown == {"hello_beat", "stat_beat", "drift", "wrap"}


# Each of the simulator's faults

TOLD = {
    "drop=0.05": ("lost", FAULT, "of 300 DATA frames never came"),
    "corrupt=0.05": ("corrupt", FAULT, "looked at by a single bit"),
    "bytes=0.001": ("bytes", FAULT, "the others by more"),
    "reorder=0.05": ("order", FAULT, "came after a later one"),
    "jitter=60": ("jitter", WARNING, "arrivals jitter by 5"),
    "drift=300": ("drift", WARNING, "t_us runs +300 ± "),
    "clock=4290": ("wrap", FINE, "t_us wrapped 1 time"),
    "reset=20": ("reset", FAULT, "the device restarted 1 time, first at 20.0 s; the port stayed"),
    "overrun=0.1": ("overrun", FAULT, "the device says that its FIFO ran over before"),
    "scale=4": ("gravity", FAULT, "4.043 g at rest instead of 1: range or sensitivity is off by 4"),
    "unplug=20": ("unplugged", FAULT, "the port went away at 20.0 s and was not back"),
    "unplug=20 replug=3": ("replugged", FAULT, "the port went away 2 times, first at 20.0 s, and was back 3.0 s later"),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("words", TOLD)
def test_each_fault_of_the_simulator_is_told_from_all_others(words: str, seed: int) -> None:
    kind, severity, says = TOLD[words]
    findings = found(heard_of(still(60), words, seed=seed))
    assert says in findings[kind].says
    assert findings[kind].severity is severity
    assert wrong(findings) == ({kind} if severity is not FINE else set())


def test_no_fault_of_the_simulator_is_left_out() -> None:
    assert {word.split("=")[0] for words in TOLD for word in words.split()} == set(KINDS)


@pytest.mark.parametrize("words", [words for words in TOLD if "scale" not in words])
def test_faults_are_told_of_a_device_that_moves_as_well(words: str) -> None:
    kind, severity, _ = TOLD[words]
    assert wrong(found(heard_of(moving(60), words))) == ({kind} if severity is not FINE else set())


def test_several_faults_are_all_told() -> None:
    words = "drop=0.05 corrupt=0.05 reorder=0.05 drift=2000 jitter=30 reset=20 overrun=0.1 scale=0.25"
    findings = wrong(found(heard_of(still(120), words)))
    assert findings == {"lost", "corrupt", "order", "drift", "jitter", "reset", "overrun", "gravity"}


@pytest.mark.parametrize("words", ["drop=0.4", "corrupt=0.4", "jitter=2000"])
def test_on_a_very_bad_line_the_device_is_not_blamed_for_it(words: str) -> None:
    assert wrong(found(heard_of(still(60), words))) <= {"lost", "corrupt", "bytes", "jitter"}


def test_what_was_lost_is_counted() -> None:
    heard = stream(20, lambda k: None if k in (10, 11, 50) else data(k, 200_000 * k))
    assert found(heard)["lost"].says == "3 of 100 DATA frames never came (3.0 %), in 2 places"


def test_a_frame_that_came_damaged_is_not_called_lost() -> None:
    heard = heard_of(still(60), "corrupt=0.1")
    assert "lost" not in wrong(found(heard))
    assert "damaged on the way" in found(heard)["lost"].says


def test_frames_that_come_twice_are_told() -> None:
    findings = found(stream(20, lambda k: data(k - (k == 30), 200_000 * (k - (k == 30)))))
    assert "1 frame came twice" in findings["order"].says


def test_samples_that_the_device_counts_as_dropped_and_does_not_flag_are_told() -> None:
    def hushed(frame: Frame) -> bytes:
        return encode(replace(frame, flags=0) if isinstance(frame, Data) else frame)

    findings = found(heard_of(still(60), "overrun=0.1", firmware=hushed))
    assert wrong(findings) == {"overrun", "gaps"}
    assert "set flag 1" in findings["overrun"].do
    assert "no flag or number tells why" in findings["gaps"].says


def test_a_drift_that_the_time_does_not_show_is_unknown_with_its_error_and_how_long_it_takes() -> None:
    finding = found(heard_of(still(15), "drift=90 jitter=19"))["drift"]
    assert finding.severity is UNKNOWN
    assert "± " in finding.says
    assert finding.do.startswith("listen for longer: --seconds ")
    longer = int(finding.do.split()[-1])
    assert found(heard_of(still(2 * longer), "drift=90 jitter=19"))["drift"].severity is FINE


def test_a_clock_beyond_what_is_followed_is_a_fault() -> None:
    assert found(heard_of(still(20), "drift=80000"))["clock"].severity is FAULT


@pytest.mark.parametrize(("step", "kinds"), [(10, {"seq"}), (0, {"seq"})])
def test_numbers_that_do_not_count_frames_are_told_and_nothing_is_made_of_them(step: int, kinds: set[str]) -> None:
    findings = found(stream(20, lambda k: data(step * k, 200_000 * k)))
    assert wrong(findings) == kinds
    assert findings["seq"].says == f"seq goes by {step} from frame to frame, 99 times of 99"
    assert findings["rate"].severity is UNKNOWN


# The port and the boots


def test_a_board_that_restarts_when_its_port_is_opened_is_fine() -> None:
    findings = found(heard_of(still(20), "reset=1"))
    assert findings["reset"] == Finding("reset", FINE, "it restarted when the port was opened, as many boards do")


def test_a_reset_is_known_although_its_hello_was_lost() -> None:
    heard = stream(40, lambda k: data(k, 200_000 * k) if k < 60 else data(k - 60, 200_000 * (k - 60)))
    findings = found(heard)
    assert "restarted 1 time, first at 12.2 s" in findings["reset"].says
    assert findings["boot_id"].says == "sequence and clock began again at 12.2 s, and boot_id is 1 as before"
    assert wrong(findings) == {"reset", "boot_id"}


def test_a_boot_id_that_stays_the_same_over_an_unplugging_is_told() -> None:
    def careless(frame: Frame) -> bytes:
        return encode(replace(frame, boot_id=7) if isinstance(frame, Hello) else frame)

    heard = heard_of(still(60), "unplug=20 replug=5", firmware=careless)
    assert wrong(found(heard)) == {"replugged", "boot_id"}


def test_a_device_that_runs_on_while_unplugged_is_the_same_boot() -> None:
    listener = Listener()

    def plugged(from_frame: int, until_frame: int) -> None:
        listener.take(opened(200_000_000 * from_frame, Opening("test", None)))
        for k in range(from_frame, until_frame):
            wire = encode(HELLO) + encode(data(k, 200_000 * k))
            listener.take(Record(200_000_000 * (k + 1), Kind.BYTES, wire))

    plugged(0, 40)
    listener.take(Record(8_100_000_000, Kind.CLOSED, LOST))
    plugged(50, 100)
    findings = found(listener.heard())
    assert "boot_id" not in findings
    assert "back 1.9 s later" in findings["replugged"].says


def test_a_device_that_falls_silent_is_told() -> None:
    assert "stopped" not in found(stream(20))
    pieces = [(0.2 * (k + 1), encode(data(k, 200_000 * k))) for k in range(40)]
    findings = found(heard_bytes([(0.0, encode(HELLO)), *pieces], 15.0))
    assert findings["stopped"].says == "nothing came any more after 8.0 s, for 7.0 s, although the port stayed"


# The protocol


def without(*kinds: type[Frame]) -> Firmware:
    return lambda frame: b"" if isinstance(frame, kinds) else encode(frame)


@pytest.mark.parametrize(
    ("missing", "kinds"),
    [
        (Hello, {"hello"}),
        (Stat, {"stat_beat"}),
        (Pong, {"ping"}),
        (Ack, {"start"}),
        (Data, {"data"}),
    ],
)
def test_what_a_device_does_not_say_is_told(missing: type[Frame], kinds: set[str]) -> None:
    assert wrong(found(heard_of(still(20), firmware=without(missing)))) == kinds


def test_a_device_without_hello_gets_its_scale_proposed() -> None:
    findings = found(heard_of(still(20), firmware=without(Hello)))
    assert findings["gravity"].severity is UNKNOWN
    assert "counts_per_g" in findings["gravity"].do
    assert 4050 < int(findings["gravity"].says.split()[0]) < 4200


def test_a_hello_that_comes_only_when_asked_for_is_told() -> None:
    said: list[Hello] = []

    def at_boot_only(frame: Frame) -> bytes:
        if isinstance(frame, Hello):
            said.append(frame)
            return encode(frame) if len(said) <= 2 else b""
        return encode(frame)

    findings = found(heard_of(still(30), firmware=at_boot_only))
    assert wrong(findings) == {"hello_beat"}
    assert findings["hello_beat"].says.startswith("2 HELLO in 30")


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"protocol": 2}, "protocol", "protocol 2,"),
        ({"rate_mhz": 50}, "hello", "0.05 Hz"),
        ({"counts_per_g": 0}, "hello", "0 counts a g"),
        ({"wrist": 9}, "hello", "wrist 9"),
    ],
)
def test_a_hello_that_cannot_be_meant_is_told(change: dict[str, int], kind: str, says: str) -> None:
    def other(frame: Frame) -> bytes:
        return encode(replace(frame, **change) if isinstance(frame, Hello) else frame)

    findings = found(heard_of(still(20), firmware=other))
    assert kind in wrong(findings)
    assert says in findings[kind].says


def test_a_start_that_is_refused_and_pings_with_another_nonce_are_told() -> None:
    def stubborn(frame: Frame) -> bytes:
        if isinstance(frame, Pong):
            return encode(replace(frame, nonce=0))
        return encode(replace(frame, status=2) if isinstance(frame, Ack) else frame)

    findings = found(heard_of(still(20), firmware=stubborn))
    assert wrong(findings) == {"start", "ping"}
    assert findings["start"].says == "COMMAND start is acknowledged with status 2"


# Rates and clocks


def test_a_rate_that_is_not_the_one_of_hello_is_told() -> None:
    findings = found(heard_of(still(30, 52.0), rate_hz=50.0))
    assert findings["rate"].severity is WARNING
    assert "50 Hz by HELLO, 52.00 by t_us (+4.0 %), 52.000 ± 0.00" in findings["rate"].says
    assert found(heard_of(still(30, 60.0), rate_hz=50.0))["rate"].severity is FAULT
    assert found(heard_of(still(30, 50.2), rate_hz=50.0))["rate"].severity is FINE


def test_a_rate_below_the_models_is_told() -> None:
    findings = found(heard_of(still(30, 10.0), rate_hz=10.0))
    assert wrong(findings) == {"low_rate"}
    assert "10 Hz is below the 20 Hz of the packaged model" in findings["low_rate"].says
    assert "movement above 5 Hz" in findings["low_rate"].do


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (lambda us: us // 1000, "0.001 times as fast as this computer's clock: milliseconds?"),
        (lambda us: us * 1000, "1000 times as fast as this computer's clock: nanoseconds?"),
        (lambda us: us * 32768 // 1_000_000, "ticks of 32,768 Hz?"),
        (lambda us: us % 2**24, "t_us leaps 1 time between frames in turn, first by -16.577 s"),
        (lambda us: 5, "t_us stands still or runs backwards"),
    ],
)
def test_a_clock_that_counts_something_else_is_told(count: Callable[[int], int], says: str) -> None:
    findings = found(stream(20, lambda k: data(k, count(200_000 * k))))
    assert says in findings["clock"].says
    assert wrong(findings) == {"clock"}


def test_times_taken_when_frames_are_sent_are_uneven() -> None:
    late = np.random.default_rng(5).integers(0, 40_000, 1000)
    findings = found(stream(60, lambda k: data(k, 200_000 * k + int(late[k]))))
    assert "uneven" in wrong(findings)


def test_a_line_that_is_nearly_full_is_told() -> None:
    heard = heard_of(still(20, 400.0), rate_hz=400.0)
    findings = found(heard, Line(baud=33000, wanted=33000))
    assert findings["full"].severity is WARNING
    assert "89 % of what 33000 baud carries" in findings["full"].says
    assert found(heard, Line())["full"].severity is FINE
    assert "no UART" in found(heard, Line(baud=9600, wanted=9600))["full"].says
