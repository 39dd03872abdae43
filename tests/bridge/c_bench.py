"""The examples for boards on a bench (c/stubs): compiled, run for some seconds, and heard as hosts hear them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from mmvq_bridge.frames import OP_START, Command, Data, Decoder, Frame, Hello, encode
from mmvq_bridge.stream.records import MAGIC, Kind, Record, read_capture
from mmvq_bridge.stream.timed import Item, Samples
from mmvq_bridge.stream.wire import WireDecoder

C: Final = Path(__file__).parents[2] / "firmware_bridge" / "c"
STUBS: Final = Path(__file__).parent / "c" / "stubs"
STRICT: Final = ["-Wall", "-Wextra", "-Werror"]
AS_SKETCH: Final = ["-std=gnu++11", "-x", "c++", "-include", "Arduino.h"]  # as Arduino's tools do it
AS_MAIN: Final = ["-std=c11", "-Dmain=firmware_main"]  # Zephyr calls a main that is C
REST: Final = np.array([[0.6, 0.0, 0.8]])
STEPS: Final = 1000  # of a movement, before it begins anew
STEP_G: Final = 1 / 256  # no sensor here tells less apart


@dataclass(frozen=True)
class Board:
    """An example and what is true of it."""

    source: str
    stubs: tuple[str, ...]  # folders beside the bench
    lines: tuple[str, ...]
    hello: Hello  # its boot_id does not count
    range_g: float
    fifo_s: float  # samples wait for so long before some are lost

    @property
    def rate_hz(self) -> float:
        return self.hello.rate_mhz / 1000


UID: Final = 0x0123456789ABCDEF
BOARDS: Final = {
    "XiaoSense": Board(
        "examples/XiaoSense/XiaoSense.ino",
        ("arduino", "nrf52"),
        ("serial", "ble"),
        Hello(1, 0, UID, 104_000, 4098, 0),
        range_g=8,
        fifo_s=6.56,
    ),
    "ADXL345": Board(
        "examples/ADXL345/ADXL345.ino",
        ("arduino", "uno"),
        ("serial",),
        Hello(1, 0, 345, 100_000, 256, 0),
        range_g=16,
        fifo_s=0.33,
    ),
    "zephyr": Board(
        "zephyr/src/main.c", ("zephyr",), ("serial",), Hello(1, 0, UID, 104_000, 4096, 0), range_g=8, fifo_s=0.62
    ),
}
Told = TypeVar("Told", bound=Frame)


class Heard:
    """What came of a run: the lines' captures, and the truth."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        taken = (folder / "taken.txt").read_text().split()
        self.taken_us = np.array(taken, np.float64)  # when the sensor took its samples

    def records(self, line: str) -> list[Record]:
        with (self._folder / f"{line}.cap").open("rb") as capture:
            assert capture.read(len(MAGIC)) == MAGIC
            return list(read_capture(capture, line, _refuse))

    def frames(self, line: str, noise: bool = False) -> list[Frame]:
        decoder = Decoder()
        frames = [frame for record in self.pieces(line) for frame in decoder.feed(record.payload)]
        assert decoder.bad_frames == noise
        return frames

    def pieces(self, line: str) -> list[Record]:
        return [record for record in self.records(line) if record.kind == Kind.BYTES]

    def told(self, line: str, kind: type[Told], noise: bool = False) -> list[Told]:
        """Its frames of one kind."""
        return [frame for frame in self.frames(line, noise) if isinstance(frame, kind)]

    def late_us(self, line: str) -> np.ndarray:
        """By how much a host takes samples to be later than they were: (n,), from the first HELLO on."""
        t, xyz = samples(self.items(line))
        frames = self.frames(line)
        hello = next(i for i, frame in enumerate(frames) if isinstance(frame, Hello))
        first_us = next(frame.t_us for frame in frames[hello:] if isinstance(frame, Data))
        return (t * 1e6 + first_us - self.taken_us[numbers(xyz)] + 2**31) % 2**32 - 2**31

    def items(self, line: str) -> list[Item]:
        """As the runtime hears it."""
        wire = WireDecoder("g", arrival=True)
        items = [item for record in self.pieces(line) for item in wire.feed(record.payload, record.host_ns)]
        assert wire.bad_frames == 0
        return items + wire.finish()


class Bench:
    """Compiles the examples, each once, and runs them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, Path] = {}
        self._runs = 0

    def run(self, name: str, rows: np.ndarray, *script: str) -> Heard:
        """`rows`: what the sensor is exposed to, (n, 3) in g. `script`: as in c/stubs/bench.h."""
        program = self.program(name)
        self._runs += 1
        folder = self._folder / f"run{self._runs}"
        folder.mkdir()
        np.savetxt(folder / "samples.txt", rows)
        (folder / "script.txt").write_text("".join(f"{line}\n" for line in script))
        subprocess.run([program, folder], check=True, timeout=60)
        return Heard(folder)

    def program(self, name: str) -> Path:
        if name not in self._programs:
            self._programs[name] = self._compile(name)
        return self._programs[name]

    def _compile(self, name: str) -> Path:
        board, program = BOARDS[name], self._folder / name
        library, sketch = self._folder / f"{name}-mmvq.o", self._folder / f"{name}.o"
        bench = [STUBS / "bench.cpp", *(file for stub in board.stubs for file in (STUBS / stub).glob("*.cpp"))]
        as_example = ["g++", *AS_SKETCH] if board.source.endswith(".ino") else ["gcc", *AS_MAIN]
        for command in (
            ["gcc", "-std=c99", "-c", C / "src" / "mmvq.c", "-o", library],
            [*as_example, "-c", C / board.source, "-o", sketch],
            ["g++", "-std=gnu++11", *bench, library, sketch, "-o", program],
        ):
            subprocess.run([*command, *STRICT, *headers(name)], check=True)
        return program


def headers(name: str) -> list[str]:
    """Where an example's includes are found."""
    return [f"-I{folder}" for folder in (C / "src", STUBS, *(STUBS / stub for stub in BOARDS[name].stubs))]


def movement() -> np.ndarray:
    """Rows that are told apart by their x."""
    x = (np.arange(STEPS) * 7 % STEPS - STEPS // 2) * STEP_G
    return np.stack([x, -x / 2, np.ones(STEPS)], axis=1)


def numbers(xyz: np.ndarray) -> np.ndarray:
    """Which samples of a movement these are, of those that the sensor took: (n,) from xyz (n, 3) in g, in order.

    The first of them is one of the movement's first STEPS, and no more than that are missing in one place.
    """
    steps = np.rint(xyz[:, 0] / STEP_G).astype(int) + STEPS // 2
    rows = steps * pow(7, -1, STEPS) % STEPS
    return rows[0] + np.concatenate([[0], np.cumsum(np.diff(rows) % STEPS)])


def samples(items: list[Item]) -> tuple[np.ndarray, np.ndarray]:
    """All of them: t (n,) in s, xyz (n, 3) in g."""
    heard = [item for item in items if isinstance(item, Samples)]
    return np.concatenate([item.t for item in heard]), np.concatenate([item.xyz for item in heard])


def says(line: str, frame: Frame) -> str:
    """For a script: the host says `frame`."""
    return f"{line} {encode(frame).hex()}"


def opened(line: str) -> list[str]:
    """For a script: what a host does first."""
    return [f"0.5 {'connect' if line == 'ble' else 'open'}", f"0.5 {says(line, Command(OP_START, 0))}"]


def _refuse(notice: str) -> None:
    raise AssertionError(notice)
