"""The examples for boards run here, on fake sensors and a fake clock (c/stubs): what do hosts hear from them?"""

import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from c_bench import (
    AS_SKETCH,
    BOARDS,
    REST,
    STEP_G,
    STEPS,
    STRICT,
    Bench,
    C,
    headers,
    movement,
    numbers,
    opened,
    samples,
    says,
)

from mmvq_bridge.doctor.examine import examine
from mmvq_bridge.doctor.listener import Listener
from mmvq_bridge.doctor.speech import Line
from mmvq_bridge.findings import Finding, Severity, as_text
from mmvq_bridge.frames import (
    FLAG_OVERRUN,
    FLAG_SATURATED,
    OP_SET_RATE,
    OP_START,
    OP_STOP,
    Ack,
    Command,
    Data,
    Frame,
    Hello,
    Ping,
    Pong,
    Stat,
)
from mmvq_bridge.stream.timed import Missing, Temperature

every_board = pytest.mark.parametrize("name", BOARDS)
every_line = pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, board in BOARDS.items() for line in board.lines]
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    missing = [tool for tool in ("gcc", "g++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    return Bench(tmp_path_factory.mktemp("bench"))


@every_board
def test_it_compiles_without_a_warning(bench: Bench, name: str) -> None:
    assert bench.program(name).exists()


@every_line
def test_hello_says_who_it_is(bench: Bench, name: str, line: str) -> None:
    hellos = bench.run(name, REST, *opened(line), "12 end").told(line, Hello)
    assert set(hellos) == {replace(BOARDS[name].hello, boot_id=hellos[0].boot_id)}
    assert hellos[0].boot_id != 0


@every_board
def test_gravity_is_1_g_at_rest(bench: Bench, name: str) -> None:
    _, xyz = samples(bench.run(name, REST, "5 end").items("serial"))
    np.testing.assert_allclose(xyz, np.repeat(REST, len(xyz), axis=0), atol=0.65 / BOARDS[name].hello.counts_per_g)
    assert abs(np.linalg.norm(xyz.mean(axis=0)) - 1) < 0.003


@every_line
@pytest.mark.parametrize("drift_ppm", [-20_000, 0, 20_000])
def test_every_sample_arrives_once_at_the_time_it_was_taken(bench: Bench, name: str, line: str, drift_ppm: int) -> None:
    board = BOARDS[name]
    heard = bench.run(name, movement(), f"0 drift {drift_ppm}", *opened(line), "30 end")
    items = heard.items(line)
    _, xyz = samples(items)
    k = numbers(xyz)
    np.testing.assert_array_equal(np.diff(k), 1)
    np.testing.assert_allclose(xyz, movement()[k % STEPS], atol=1.3 / board.hello.counts_per_g)
    assert len(heard.taken_us) - k[-1] < 40  # the rest waits for its frame
    assert not any(isinstance(item, Missing) for item in items)
    late_us, period_us = np.abs(heard.late_us(line)), 1e6 / board.rate_hz
    assert late_us.max() < period_us
    assert late_us[300:].max() < 0.3 * period_us


@every_board
def test_times_run_on_where_the_clock_wraps(bench: Bench, name: str) -> None:
    heard = bench.run(name, movement(), "0 boot 4290", "12 end")
    t_us = [data.t_us for data in heard.told("serial", Data)]
    assert max(t_us) > 2**32 - 200_000
    assert t_us[-1] < 10_000_000
    t, xyz = samples(heard.items("serial"))
    np.testing.assert_array_equal(np.diff(numbers(xyz)), 1)
    assert np.diff(t).max() < 1.5 / BOARDS[name].rate_hz


@every_board
def test_samples_that_the_fifo_lost_are_told(bench: Bench, name: str) -> None:
    board = BOARDS[name]
    stall_s = board.fifo_s + 2
    heard = bench.run(name, movement(), f"3 stall {stall_s}", f"{stall_s + 12} end")
    items = heard.items("serial")
    k = numbers(samples(items)[1])
    lost = int((np.diff(k) - 1).sum())
    assert stall_s * board.rate_hz - lost < 1.05 * board.fifo_s * board.rate_hz + 20
    assert (np.diff(k) > 1).sum() == 1
    assert [data.flags for data in heard.told("serial", Data) if data.flags] == [FLAG_OVERRUN]
    assert heard.told("serial", Stat)[-1].samples_dropped == pytest.approx(lost, abs=1)
    told = [item for item in items if isinstance(item, Missing)]
    assert [item.why for item in told] == ["overrun"]
    assert told[0].count == pytest.approx(lost, abs=1)


@every_board
def test_a_pause_that_the_fifo_bridges_loses_nothing(bench: Bench, name: str) -> None:
    pause_s = 0.8 * BOARDS[name].fifo_s
    heard = bench.run(name, movement(), f"3 stall {pause_s}", f"{pause_s + 8} end")
    np.testing.assert_array_equal(np.diff(numbers(samples(heard.items("serial"))[1])), 1)
    assert np.abs(heard.late_us("serial")).max() < 1e6 / BOARDS[name].rate_hz


@every_line
def test_ping_stop_and_start_are_answered(bench: Bench, name: str, line: str) -> None:
    script = [
        *opened(line),
        f"2 {says(line, Ping(0xDEADBEEF))}",
        f"3 {says(line, Command(OP_STOP, 0))}",
        f"6 {says(line, Command(OP_START, 0))}",
        f"7 {says(line, Command(OP_SET_RATE, 50_000))}",
        "9 end",
    ]
    heard = bench.run(name, movement(), *script)
    frames = heard.frames(line)
    (pong,) = heard.told(line, Pong)
    assert pong.nonce == 0xDEADBEEF
    assert 2_000_000 <= pong.t_us < 2_030_000
    assert heard.told(line, Ack) == [
        Ack(OP_START, 0),
        Ack(OP_STOP, 0),
        Ack(OP_START, 0),
        Ack(OP_SET_RATE, 2),
    ]
    stopped = frames.index(Ack(OP_STOP, 0))
    started = frames.index(Ack(OP_START, 0), stopped)
    assert not any(isinstance(frame, Data) for frame in frames[stopped:started])
    assert isinstance(frames[started + 1], Hello)
    gap_s = next(after - before for before, after in pairwise(samples(heard.items(line))[0]) if after - before > 1)
    assert gap_s == pytest.approx(3.0, abs=0.3)
    if line == "ble":  # the host at the other line has not asked for anything
        assert not any(isinstance(item, Missing) for item in heard.items("serial"))


@every_board
def test_a_blow_beyond_the_range_is_flagged(bench: Bench, name: str) -> None:
    rows = np.repeat(REST, 1000, axis=0)
    rows[500, 1] = -1.2 * BOARDS[name].range_g
    (hit,) = (data for data in bench.run(name, rows, "8 end").told("serial", Data) if data.flags)
    assert hit.flags == FLAG_SATURATED
    lowest = hit.samples[:, 1].min() / BOARDS[name].hello.counts_per_g
    assert lowest == pytest.approx(-BOARDS[name].range_g, rel=0.01)


@every_board
def test_a_board_that_misses_its_sensor_says_so_in_words(bench: Bench, name: str) -> None:
    heard = bench.run(name, REST, "0 unplug", "2.5 plug", "6 end")
    first, second, *_ = b"".join(piece.payload for piece in heard.pieces("serial")).split(b"\r\n")
    assert first == second
    assert first.startswith(b"no ")
    if name != "zephyr":  # which looks for its devices at boot only
        assert len(heard.told("serial", Data, noise=True)) > 20


@pytest.mark.parametrize("name", ["XiaoSense", "ADXL345"])
def test_a_sensor_that_does_not_answer_for_a_moment_is_caught_up_with(bench: Bench, name: str) -> None:
    heard = bench.run(name, movement(), "3 unplug", "3.2 plug", "8 end")
    np.testing.assert_array_equal(np.diff(numbers(samples(heard.items("serial"))[1])), 1)


def examined(bench: Bench, name: str, line: str) -> list[Finding]:
    """What the doctor finds who listens to a board on a table."""
    asked: list[tuple[int, Frame]] = [(500_000_000, Command(OP_START, 0))]
    asked += [(s * 1_000_000_000, Ping(s)) for s in range(1, 15)]
    noisy = REST + np.random.default_rng(0).normal(scale=0.002, size=(1000, 3))
    script = [f"{at_ns / 1e9} {says(line, frame)}" for at_ns, frame in asked]
    heard = bench.run(name, noisy, opened(line)[0], *script, "16 end")
    listener = Listener()
    for record in heard.records(line):
        listener.take(record)
    return examine(listener.heard(asked), Line(115200, 115200))


@every_line
def test_the_doctor_finds_nothing_wrong(bench: Bench, name: str, line: str) -> None:
    findings = examined(bench, name, line)
    assert len(findings) > 12
    assert [found for found in findings if found.severity in (Severity.FAULT, Severity.WARNING)] == []


def test_the_readme_shows_what_the_doctor_says(bench: Bench) -> None:
    report = as_text(examined(bench, "XiaoSense", "serial"))
    shown = (C / "examples" / "README.md").read_text().partition("$ mmvq-bridge check")[2].partition("\n\n")[0]
    lines = [line.strip() for line in shown.splitlines()[1:]]
    assert lines[-1].startswith("healthy")
    assert [line for line in lines if line not in report and line != "..."] == []


def test_arduino_finds_a_library_with_examples() -> None:
    properties = dict(line.split("=", 1) for line in (C / "library.properties").read_text().splitlines() if line)
    assert {"name", "version", "architectures", "includes"} <= properties.keys()
    assert properties["architectures"] == "*"
    assert (C / "src" / properties["includes"]).exists()
    sketches = [folder for folder in (C / "examples").iterdir() if folder.is_dir()]
    assert sketches
    assert all((folder / f"{folder.name}.ino").exists() for folder in sketches)


@pytest.mark.parametrize(
    ("name", "compiler", "chip"),
    [
        ("XiaoSense", "arm-none-eabi-g++", ["-mcpu=cortex-m4", "-mthumb", "-fno-exceptions"]),
        ("ADXL345", "avr-g++", ["-mmcu=atmega328p", "-fno-threadsafe-statics"]),  # where an int has 16 bits
    ],
)
def test_a_sketch_compiles_for_its_chip(tmp_path: Path, name: str, compiler: str, chip: list[str]) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} (Debian: gcc-{compiler.removesuffix('-g++')}) to compile for the board itself")
    source = C / BOARDS[name].source
    subprocess.run(
        [compiler, *AS_SKETCH, *STRICT, *chip, *headers(name), "-c", source, "-o", tmp_path / "sketch.o"], check=True
    )


def test_bluetooth_carries_25_samples_in_one_notification(bench: Bench) -> None:
    heard = bench.run("XiaoSense", movement(), *opened("ble"), "12 end")
    pieces = heard.pieces("ble")
    assert all(piece.payload.count(0) == 1 and piece.payload.endswith(b"\0") for piece in pieces)
    assert max(len(piece.payload) for piece in pieces) == 163 <= 185 - 3
    assert {len(data.samples) for data in heard.told("ble", Data)} == {25}
    assert {len(data.samples) for data in heard.told("serial", Data)} == {10}


@pytest.mark.parametrize(("line", "leaves", "returns"), [("serial", "close", "open"), ("ble", "disconnect", "connect")])
def test_a_host_that_returns_is_not_told_of_losses_while_it_was_away(
    bench: Bench, line: str, leaves: str, returns: str
) -> None:
    heard = bench.run("XiaoSense", movement(), *opened(line), f"4 {leaves}", f"9 {returns}", "15 end")
    assert not any(data.flags for data in heard.told(line, Data))
    assert {stat.samples_dropped for stat in heard.told(line, Stat)} == {0}
    assert np.diff(samples(heard.items(line))[0]).max() == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("trouble", [["3 sensor slip"], ["3 sensor vague", "3 stall 8"]])
def test_no_axis_is_taken_for_another_after_a_word_of_the_fifo_went_astray(bench: Bench, trouble: list[str]) -> None:
    heard = bench.run("XiaoSense", movement(), *trouble, "15 end")
    xyz = samples(heard.items("serial"))[1]
    np.testing.assert_allclose(xyz[:, 2], 1, atol=0.001)
    assert [item.why for item in heard.items("serial") if isinstance(item, Missing)] == ["overrun"]


def test_usb_that_nobody_fetches_from_does_not_keep_the_sensor_waiting(bench: Bench) -> None:
    heard = bench.run("XiaoSense", movement(), *opened("ble"), "3 busy 1", "12 end")
    assert not any(isinstance(item, Missing) for item in heard.items("ble"))
    k = numbers(samples(heard.items("serial"))[1])
    lost = int((np.diff(k) - 1).sum())
    assert 60 < lost < 120
    assert heard.told("serial", Stat)[-1].samples_dropped == lost
    assert sum(item.count for item in heard.items("serial") if isinstance(item, Missing)) == lost


def test_the_chips_temperature_is_told(bench: Bench) -> None:
    items = bench.run("XiaoSense", REST, "8 end").items("serial")
    assert [item for item in items if isinstance(item, Temperature)] == [Temperature(31.0)]


def test_a_board_without_a_source_of_chance_takes_the_sensors_noise_for_boot_id(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    boots = set()
    for _ in range(5):
        noisy = REST + rng.normal(scale=STEP_G, size=(1000, 3))  # the datasheet's: about one count
        boots |= {hello.boot_id for hello in bench.run("ADXL345", noisy, "1 end").told("serial", Hello)}
    assert len(boots) == 5
