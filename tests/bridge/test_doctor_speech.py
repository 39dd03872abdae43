import binascii
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

sys.path.insert(0, str(Path(__file__).parent))

from bridge_promises import wires
from doctor_devices import (
    FAULT,
    FINE,
    HELLO,
    UNKNOWN,
    WARNING,
    data,
    found,
    heard_bytes,
    heard_of,
    moving,
    printed,
    still,
    wrong,
)
from hurt import QUICK, whatever

from mmvq_bridge import cobs
from mmvq_bridge.device import Block
from mmvq_bridge.doctor.examine import examine
from mmvq_bridge.doctor.speech import Line
from mmvq_bridge.findings import Severity, as_json, as_text, verdict
from mmvq_bridge.frames import Data, Frame, Stat, encode


def test_silence_is_told() -> None:
    findings = found(heard_bytes([]))
    assert list(findings) == ["silence"]
    assert findings["silence"].says == "not a byte in 15.0 s"


def test_garbage_is_told_with_the_rates_that_were_tried() -> None:
    rng = np.random.default_rng(1)
    findings = found(heard_bytes([(k / 10, rng.bytes(40)) for k in range(100)], 10.0), Line(tried=(9600, 57600)))
    assert wrong(findings) == {"garbage"}
    assert findings["garbage"].says.endswith("neither protocol frames nor CSV lines, nor at 9600, 57600")


def test_another_baud_rate_is_a_fault_of_its_own_and_the_rest_is_told_as_well() -> None:
    findings = found(heard_of(still(20)), Line(baud=57600, wanted=115200))
    assert wrong(findings) == {"baud"}
    assert findings["baud"].says == "nothing can be understood at 115200 baud; the device speaks at 57600"
    assert "gravity" in findings


def test_text_that_is_no_csv_is_quoted() -> None:
    findings = found(heard_bytes([(k / 10, b"ax: 0.1 ay: 0.2 az: 1.0\r\n") for k in range(50)], 5.0))
    assert wrong(findings) == {"text"}
    assert "'ax: 0.1 ay: 0.2 az: 1.0'" in findings["text"].says


def test_debug_prints_between_frames_are_quoted_and_not_called_damage() -> None:
    printed_every = 10

    def chatty(frame: Frame) -> bytes:
        wire = encode(frame)
        return b"sensor ready, 21 C\r\n" + wire if isinstance(frame, Data) and frame.seq % printed_every == 5 else wire

    findings = found(heard_of(still(30), firmware=chatty))
    assert wrong(findings) == {"prints"}
    assert "'sensor ready, 21 C" in findings["prints"].says


def test_one_greeting_at_boot_is_a_warning() -> None:
    heard = heard_of(still(15), firmware=encode)
    pieces = [(0.0, b"ets Jul 29 2019 12:21:46\r\nrst:0x1\r\n" + encode(HELLO))]
    pieces += [(0.2 * (k + 1), encode(data(k, 200_000 * k))) for k in range(75)]
    findings = found(heard_bytes(pieces))
    assert "prints" not in found(heard)
    assert findings["prints"].severity is WARNING


CRCS = {
    "high byte": "its high byte comes first",
    "xmodem": "it starts at 0 instead of FFFF",
    "none": "the CRC is wrong",
}


@pytest.mark.parametrize("mistake", CRCS)
def test_frames_with_another_crc_are_known_by_what_was_done(mistake: str) -> None:
    def other(frame: Frame) -> bytes:
        payload = cobs.decode(encode(frame)[:-1])[:-2]
        crc = {
            "high byte": binascii.crc_hqx(payload, 0xFFFF).to_bytes(2, "big"),
            "xmodem": binascii.crc_hqx(payload, 0).to_bytes(2, "little"),
            "none": b"\x12\x34",
        }[mistake]
        return cobs.encode(payload + crc) + b"\0"

    findings = found(heard_of(still(5), firmware=other))
    assert wrong(findings) == {"crc"}
    assert CRCS[mistake] in findings["crc"].says


def test_frames_of_another_layout_are_told_with_the_reason() -> None:
    def other(frame: Frame) -> bytes:
        payload = cobs.decode(encode(frame)[:-1])[:-2]
        if isinstance(frame, Stat):
            payload += struct.pack("<H", 7)
        return cobs.encode(payload + binascii.crc_hqx(payload, 0xFFFF).to_bytes(2, "little")) + b"\0"

    findings = found(heard_of(still(30), firmware=other))
    assert wrong(findings) == {"format", "stat_beat"}
    assert "type 3 has 12 bytes of fields, not 14" in findings["format"].says


def test_coming_in_the_middle_of_a_frame_is_no_damage() -> None:
    pieces = [(0.2 * (k + 1), encode(data(k, 200_000 * k))) for k in range(75)]
    pieces[0] = (0.2, pieces[0][1][20:])
    assert "none of" in found(heard_bytes(pieces))["damaged"].says


# CSV lines


@pytest.mark.parametrize("with_t_ms", [True, False])
@pytest.mark.parametrize("block", [still, moving], ids=["still", "moving"])
def test_nothing_is_wrong_with_clean_lines(block: Callable[[float], Block], with_t_ms: bool) -> None:
    findings = found(heard_bytes(printed(block(20), with_t_ms), 20.0))
    assert not wrong(findings)
    assert "CSV lines" in findings["speaks"].says
    assert findings["rate"].says.startswith("50.00 ")
    assert findings["gravity"].severity is FINE


def test_a_header_and_a_first_line_cut_short_are_no_damage() -> None:
    lines = [(0.0, b"t_ms,x,y,z\r\n"), (0.0, b"02,0.01\r\n"), *printed(still(20), True)]
    assert not wrong(found(heard_bytes(lines, 20.0)))


@pytest.mark.parametrize(
    ("factor", "severity", "says", "do"),
    [
        (9.80665, WARNING, "m/s² instead of g", "--units ms2"),
        (1000.0, FAULT, "mg instead of g or 1024 counts a g", "print g"),
        (16384.0, FAULT, "16384 counts a g", "--units counts:16"),
        (0.5, FAULT, "g at rest instead of 1", "print g"),
    ],
)
def test_lines_in_another_unit_are_told(factor: float, severity: Severity, says: str, do: str) -> None:
    t, xyz = still(20)
    findings = found(heard_bytes(printed((t, factor * xyz), True), 20.0))
    assert wrong(findings) == {"gravity"}
    assert findings["gravity"].severity is severity
    assert says in findings["gravity"].says
    assert do in findings["gravity"].do


def test_what_lines_get_wrong_with_time_is_told() -> None:
    lines = printed(still(30), True)
    assert wrong(found(heard_bytes(lines[:500] + lines[520:], 30.0))) == {"gaps"}
    t, xyz = still(30)
    restarted = (np.concatenate([t[:700], t[:800]]), xyz)
    lines = [(at, wire) for at, (_, wire) in zip(t, printed(restarted, True), strict=True)]
    assert "t_ms ran backwards 1 time, first from 13980 to 0" in found(heard_bytes(lines, 30.0))["reset"].says
    fast = printed((t * 1.002, xyz), True)
    findings = found(heard_bytes([(at / 1.002, wire) for at, wire in fast], 30.0))
    assert wrong(findings) == {"drift"}
    assert "t_ms runs +2000 ± " in findings["drift"].says


@pytest.mark.parametrize(
    ("ms", "kind", "says"),
    [
        (1e3, "rate", "0.025 Hz, and mmvq-run takes 1 to 2000"),
        (1e-3, "clock", "t_ms runs 0.001"),
        (0, "rate", "rate: too few lines, or t_ms stands still"),
        (0.25, "clock", "t_ms runs 0.25 times as fast as this computer's clock"),
    ],
)
def test_times_of_lines_in_another_unit_are_told(ms: float, kind: str, says: str) -> None:
    t, xyz = still(20, 25.0)
    lines = [(at, wire) for at, (_, wire) in zip(t, printed((ms * t, xyz), True), strict=True)]
    assert found(heard_bytes(lines, 20.0))[kind].says.startswith(says)


def test_lines_that_are_none_and_numbers_that_are_none_are_told() -> None:
    lines = printed(still(30), True)
    lines[700] = (lines[700][0], b"I2C error -5\r\n")
    lines[800] = (lines[800][0], b"16000,nan,nan,nan\r\n")
    findings = found(heard_bytes(lines, 30.0))
    assert {"damaged", "nan"} <= wrong(findings)
    assert "1 line of 1,500 are none (0.067 %), first 'I2C error -5'" in findings["damaged"].says


def test_lines_whose_rate_is_not_known_yet_say_so() -> None:
    findings = found(heard_bytes(printed(still(2), False), 2.0))
    assert findings["rate"].severity is UNKNOWN
    assert "± " in findings["rate"].says


def test_lines_with_a_dead_axis_and_coarse_steps_are_told() -> None:
    t, xyz = moving(30)
    findings = found(heard_bytes(printed((t, np.rint(xyz * 32) / 32 * [1, 1, 0]), True, 5), 30.0))
    assert wrong(findings) == {"dead", "resolution"}


# Telling


def test_a_report_names_the_worst_first_and_ends_with_the_verdict() -> None:
    findings = examine(heard_of(still(20), "scale=4 drop=0.05"), Line(), None)
    lines = as_text(findings).splitlines()
    kinds = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    order = ["fault", "unknown", "fine"]
    assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order
    assert lines[-1] == "not healthy: 2 faults, 0 warnings, 1 unknown"
    assert lines[1].startswith("                     -> ")
    assert max(map(len, lines)) <= 118


def test_scripts_get_the_same_as_one_object() -> None:
    findings = examine(heard_of(still(20)), Line(), None)
    told = json.loads(as_json(findings, port="test", baud=115200))
    assert told["healthy"] is True
    assert told["verdict"] == verdict(findings) == "healthy: 0 faults, 0 warnings, 1 unknown"
    assert told["port"] == "test"
    assert {tuple(finding) for finding in told["findings"]} == {("kind", "severity", "says", "do")}
    assert {finding["kind"] for finding in told["findings"]} == {finding.kind for finding in findings}


@QUICK
@given(whatever([*wires(), b"".join(wire for _, wire in printed(still(1), True))]))
def test_whatever_is_heard_there_is_something_to_tell(noise: bytes) -> None:
    pieces = [(k / 7, noise[k * 50 : k * 50 + 50]) for k in range(len(noise) // 50 + 1)]
    for heard in (heard_bytes(pieces), heard_bytes([*pieces, (0.1, noise)], 0.1)):
        findings = examine(heard, Line(), "z")
        assert findings
        assert as_text(findings)
        json.loads(as_json(findings))
