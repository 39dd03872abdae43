"""The C library for firmware says what the Python side says, byte for byte, and takes what it takes."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tty
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from c_library import (
    C_TESTS,
    LIBRARY,
    POSIX,
    STRICT,
    Harness,
    arm_bytes,
    build,
    build_harness,
    init,
    output_of,
    random_frames,
    receive,
    why_not,
)
from hurt import QUICK

from mmvq_bridge import __version__, cobs
from mmvq_bridge.device import UID, SimulatedDevice
from mmvq_bridge.frames import (
    OP_SET_RATE,
    OP_START,
    OP_STOP,
    Command,
    Data,
    Decoder,
    Frame,
    Hello,
    Ping,
    decode,
    encode,
)
from mmvq_bridge.stream.records import Kind, Record
from mmvq_bridge.stream.serial_port import read_port
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.stream.timed import Missing, Samples, Wearer
from mmvq_bridge.stream.wire import WireDecoder

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
EVERY_WIRE = [vector["frame"] for part in ("vectors", "accepted", "refused") for vector in GOLDEN[part]]
PAGE = (LIBRARY.parents[1] / "README.md").read_text(encoding="utf-8")
NEXT = Ping(0xFEEDBEEF)
HOSTS = (Ping, Command)
FEW = settings(QUICK, max_examples=25)  # each is a run of the program
CODE_BYTES, DEVICE_BYTES = 2048, 600
PATIENCE_NS = 20e9

u8, u32 = st.integers(0, 2**8 - 1), st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module", params=["plain", "sanitized"])
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    sanitized = request.param == "sanitized"
    if lacking := why_not(sanitized):
        pytest.skip(lacking)
    return build_harness(tmp_path_factory.mktemp("harness"), sanitized)


@pytest.mark.parametrize("vector", GOLDEN["vectors"], ids=lambda vector: vector["name"])
def test_golden_vectors_hold_in_c_as_in_python(harness: Harness, vector: dict[str, Any]) -> None:
    wire = bytes.fromhex(vector["frame"])
    frame = decode(wire[:-1])
    if isinstance(frame, HOSTS):
        assert harness.decode(wire + encode(NEXT)) == ([frame, NEXT], 0)
    else:
        assert harness.encode([frame]) == wire
        assert harness.decode(wire + encode(NEXT)) == ([NEXT], 1)


# To a device, another device's frame is none in any form.
@pytest.mark.parametrize("vector", GOLDEN["accepted"] + GOLDEN["refused"], ids=lambda vector: vector["name"])
def test_what_is_no_frame_is_counted_once_and_the_next_is_read_again(harness: Harness, vector: dict[str, Any]) -> None:
    assert harness.decode(bytes.fromhex(vector["frame"]) + encode(NEXT)) == ([NEXT], 1)


def test_two_zeros_in_a_row_are_nothing_and_an_end_without_one_waits(harness: Harness) -> None:
    assert harness.decode(b"\0\0" + encode(Ping(1)) + b"\0\0" + encode(Ping(2))[:-1]) == ([Ping(1)], 0)
    assert harness.decode(b"\x05" * 100_000 + b"\0" + encode(NEXT)) == ([NEXT], 1)


def test_messages_from_c_are_read_in_python_and_are_the_same_from_there_again(harness: Harness) -> None:
    sent = random_frames(np.random.default_rng(1), 2000)
    wire = harness.encode(sent)
    heard = Decoder().feed(wire)
    assert heard == sent
    assert b"".join(map(encode, heard)) == wire == harness.encode(heard)


@pytest.mark.parametrize("n", [0, 81, 255])
def test_more_or_fewer_samples_than_a_frame_holds_are_not_encoded(harness: Harness, n: int) -> None:
    assert harness.encode_payloads([b"\x02" + bytes(7) + bytes([n]) + bytes(6 * n)]) == b""


@FEW
@given(st.lists(st.one_of(st.builds(Ping, u32), st.builds(Command, u8, u32)), max_size=50))
def test_what_a_host_says_in_python_is_read_in_c(harness: Harness, said: list[Frame]) -> None:
    assert harness.decode(b"".join(map(encode, said))) == (said, 0)


def test_both_languages_hear_the_same_in_100_000_hurt_bytes(harness: Harness) -> None:
    rng = np.random.default_rng(2)
    said = [Ping(1), Command(OP_START, 0), Command(OP_STOP, 0), Command(OP_SET_RATE, 50_000), Command(9, 2**32 - 1)]
    seeds = [*map(encode, said * 12), *map(bytes.fromhex, EVERY_WIRE)]
    stream = np.frombuffer(b"".join(seeds[i] for i in rng.integers(len(seeds), size=2500)), np.uint8).copy()
    hit = rng.random(len(stream)) < 0.01
    stream[hit] = rng.integers(0, 256, hit.sum(), dtype=np.uint8)
    noise = np.where(rng.random(20_000) < 0.1, 0, rng.integers(0, 12, 20_000)).astype(np.uint8)
    wire = stream[rng.random(len(stream)) > 0.002].tobytes() + b"\0" + noise.tobytes() + b"\0"
    assert len(wire) > 100_000

    decoder = Decoder()
    expected = [frame for frame in decoder.feed(wire) if isinstance(frame, HOSTS)]
    heard, bad = harness.decode(wire)
    assert heard == expected
    assert len(heard) > 500
    assert bad > decoder.bad_frames > 100  # to a device, another device's frames are bad ones too
    device = SimulatedDevice(np.zeros(1), np.zeros((1, 3)), 20.0)
    told = harness.device([init(uid=UID, boot_id=0), receive(500_000, wire)])
    assert told.wire == b"".join(device.receive(wire, 0.5))
    assert told.bad_frames == bad


def test_the_bytes_of_the_page_are_real(harness: Harness) -> None:
    section = PAGE.split("## Two frames, byte by byte")[1].split("\n## ")[0]
    samples = np.array([[12, -3, 4096], [14, -2, 4101]], np.int16)
    told = [Hello(1, 7, 0x1122334455667788, 100_000, 4096, 1), Data(0, 0, 1_000_000, samples)]
    bodies = re.findall(r"((?:^    (?:[0-9a-f]{2} )+ .*\n)+)", section, re.MULTILINE)
    wires = re.findall(r"^    wire {4}(.*(?:\n {12}.*)*)", section, re.MULTILINE)
    assert len(bodies) == len(wires) == len(told)
    for frame, body, wire in zip(told, bodies, wires, strict=True):
        plain = bytes.fromhex("".join(re.findall(r"^    ((?:[0-9a-f]{2} )+)", body, re.MULTILINE)))
        assert cobs.encode(plain) + b"\0" == bytes.fromhex(re.sub(r"[\[\]]", "", wire)) == encode(frame)
    assert harness.encode(told) == b"".join(map(encode, told))


def test_the_main_of_the_page_streams_through_a_port_into_timed_samples(harness: Harness, tmp_path: Path) -> None:
    """Five seconds at 100 Hz over the wrap of the clock, from C through a pseudo-terminal and pyserial."""
    (tmp_path / "main.c").write_text(re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)[0])
    program = build(tmp_path / "board", [tmp_path / "main.c", C_TESTS / "board.c"], POSIX, *harness.flags)
    master, slave = pty.openpty()
    tty.setraw(slave)
    board = subprocess.Popen([program], stdin=master, stdout=master)
    os.close(master)
    decoder, stop, items = WireDecoder("auto", arrival=True), Stop(), []
    first_ns = None
    for record in read_port(os.ttyname(slave), 115200, 0.0, stop, print):
        if first_ns is None:  # the port is open
            first_ns = record.host_ns
            os.write(slave, b"\0")
        if isinstance(record, Record) and record.kind == Kind.BYTES:
            items += decoder.feed(record.payload, record.host_ns)
        samples = [item for item in items if isinstance(item, Samples)]
        stop.asked = sum(len(item.t) for item in samples) >= 500 or record.host_ns > first_ns + PATIENCE_NS
    os.close(slave)
    assert board.wait(20) == 0
    t, xyz = (np.concatenate([getattr(item, name) for item in samples]) for name in ("t", "xyz"))
    np.testing.assert_allclose(t, np.arange(500) / 100, atol=1e-9)
    i = np.arange(500)
    np.testing.assert_array_equal(xyz, np.stack([i, -i, 0 * i + 4096], axis=1) / 4096)
    assert [item for item in items if isinstance(item, Wearer)] == [Wearer("connected", "1122334455667788", 100.0)]
    assert [item for item in items if isinstance(item, Missing)] == []
    assert decoder.bad_frames == 0


def test_the_header_suits_cpp_too(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the header with")
    (tmp_path / "sketch.cpp").write_text('#include "mmvq.h"\nmmvq_device device;\n')
    flags = ("-std=c++11", *STRICT[1:], f"-I{LIBRARY}", "-fsyntax-only")
    assert output_of("g++", *flags, tmp_path / "sketch.cpp") == ""


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m4"])
def test_its_code_is_under_2_kb_and_a_device_under_600_bytes(cpu: str, tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc (Debian: gcc-arm-none-eabi) to measure the C library with")
    found = arm_bytes(cpu, tmp_path)
    assert found["text"] < CODE_BYTES
    assert (found["data"], found["bss"]) == (0, 0)
    assert found["device"] < DEVICE_BYTES


def test_it_is_an_arduino_library_of_this_version() -> None:
    lines = (LIBRARY.parent / "library.properties").read_text().splitlines()
    about = dict(line.split("=", 1) for line in lines)
    assert about["version"] == __version__
    assert {"name", "author", "maintainer", "sentence", "paragraph", "url"} <= set(about)  # or the IDE refuses it
