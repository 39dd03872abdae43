"""The C library built with gcc, and its harness (c/harness.c) driven from Python, for tests and benchmarks.

A sanitized build checks addresses and undefined behaviour as it runs, and ends with an error at the first fault.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge import cobs
from mmvq_bridge.frames import (
    MOST_SAMPLES,
    PROTOCOL,
    Ack,
    Command,
    Data,
    Decoder,
    Frame,
    Hello,
    Ping,
    Pong,
    Stat,
    encode,
)

LIBRARY: Final = Path(__file__).parents[2] / "firmware_bridge" / "c" / "src"
C_TESTS: Final = Path(__file__).parent / "c"
STRICT: Final = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
POSIX: Final = "-D_POSIX_C_SOURCE=200809L"  # strict C99 hides it from what needs it
SANITIZERS: Final = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
EDGES: Final = (0, 1, 0x0101, 0x0100, 0x00FF, 0xFF00, 2**15, 2**16, 2**31, 2**32, 2**63)  # and their neighbours
_ASKED: Final = struct.Struct("<BBI")


@dataclass(frozen=True)
class Told:
    """What a device wrote to its line, and its own counts at the end."""

    wire: bytes
    frames_sent: int
    samples_dropped: int
    bad_frames: int

    @property
    def frames(self) -> list[Frame]:
        """The frames in `wire`, which has nothing else in it."""
        decoder = Decoder()
        found = decoder.feed(self.wire)
        assert decoder.bad_frames == 0
        return found


@dataclass(frozen=True)
class Harness:
    """The program of c/harness.c. CalledProcessError where it fails or a sanitizer has something to say.

    flags: of the compiler, to build other programs alike.
    """

    program: Path
    flags: tuple[str, ...]

    def encode(self, frames: Iterable[Frame]) -> bytes:
        """Frames of a device on the wire, as the C library has them."""
        return self.encode_payloads(cobs.decode(encode(frame)[:-1])[:-2] for frame in frames)

    def encode_payloads(self, payloads: Iterable[bytes]) -> bytes:
        """The same, of payloads as they stand before their CRC; nothing where the C library refuses one."""
        return self._run("encode", b"".join(struct.pack("<H", len(p)) + p for p in payloads)).stdout

    def decode(self, wire: bytes) -> tuple[list[Frame], int]:
        """The frames of a host that the C library finds in `wire`, and how many bad ones."""
        ended = self._run("decode", wire)
        asked = [
            Ping(value) if (number, op) == (4, 0) else Command(op, value)
            for number, op, value in _ASKED.iter_unpack(ended.stdout)
        ]
        return asked, int(ended.stderr.split()[-1])

    def device(self, script: Iterable[str]) -> Told:
        """What a device does by a script, a line for each call (c/harness.c says which)."""
        ended = self._run("device", "\n".join([*script, ""]).encode())
        return Told(ended.stdout, *map(int, ended.stderr.split()[1::2]))

    def refuses(self, init: str) -> bool:
        """Whether mmvq_init returns false for the line `init` of a script."""
        return subprocess.run([self.program, "device"], input=init.encode(), check=False).returncode == 3

    def _run(self, mode: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self.program, mode], input=given, capture_output=True, check=True)


def why_not(sanitized: bool) -> str:
    """What lacks to build the library with; nothing if it can be built."""
    if shutil.which("gcc") is None:
        return "no gcc to build the C library with"
    lacking = [
        name
        for name in ("libasan.so", "libubsan.so")
        if not Path(output_of("gcc", f"-print-file-name={name}")).is_absolute()
    ]
    return f"gcc has no {' and no '.join(lacking)} to check the C library with" if sanitized and lacking else ""


def output_of(*command: str | Path) -> str:
    """What a command prints. CalledProcessError if it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def arm_bytes(cpu: str, folder: Path) -> dict[str, int]:
    """What the library is on a Cortex-M at -Os: bytes of text, data and bss, and of a device. CalledProcessError if it
    cannot be built."""
    (folder / "device.c").write_text('#include "mmvq.h"\nstruct mmvq_device device;\n')
    sizes = []
    for source in (LIBRARY / "mmvq.c", folder / "device.c"):
        flags = (*STRICT, "-Os", "-mthumb", f"-mcpu={cpu}", f"-I{LIBRARY}")
        output_of("arm-none-eabi-gcc", *flags, "-c", source, "-o", folder / "compiled.o")
        sizes.append(output_of("arm-none-eabi-size", folder / "compiled.o").splitlines()[1].split()[:3])
    text, data, bss, device = map(int, [*sizes[0], sizes[1][2]])
    return {"text": text, "data": data, "bss": bss, "device": device}


def build(program: Path, sources: Sequence[Path], *flags: str) -> Path:
    """Compile the library with `sources`, without a warning. CalledProcessError if it cannot be."""
    command = ["gcc", *STRICT, "-O2", *flags, f"-I{LIBRARY}", *sources, LIBRARY / "mmvq.c", "-o", program]
    subprocess.run(command, check=True)
    return program


def build_harness(folder: Path, sanitized: bool) -> Harness:
    """The harness, built in `folder`."""
    flags = SANITIZERS if sanitized else ()
    return Harness(build(folder / "harness", [C_TESTS / "harness.c"], *flags), flags)


def init(
    rate_mhz: int = 20_000,
    *,
    uid: int = 1,
    boot_id: int = 2,
    counts_per_g: int = 4096,
    wrist: int = 0,
    samples_per_frame: int = 10,
    lowest: int = 0,
    highest: int = 0,
    new_rate: int = -1,
    now: int = 0,
) -> str:
    """The line of a script that boots a device."""
    return (
        f"init {uid} {boot_id} {rate_mhz} {counts_per_g} {wrist} {samples_per_frame} {lowest} {highest} "
        f"{new_rate} {now % 2**32}"
    )


def receive(now: int, data: bytes) -> str:
    """The line of a script that hands the device a host's bytes."""
    return f"receive {now % 2**32} {len(data)} {data.hex()}"


def pushes(t_us: np.ndarray, counts: np.ndarray) -> list[str]:
    """Lines of a script that poll and push at each sample's time: (n,) in microseconds, and counts (n, 3)."""
    return [
        f"poll {t % 2**32}\npush {t % 2**32} {x} {y} {z}"
        for t, (x, y, z) in zip(t_us.tolist(), counts.tolist(), strict=True)
    ]


def random_frames(rng: np.random.Generator, count: int) -> list[Frame]:
    """Messages of a device, of every type; many fields lie at the edges of bytes and words."""
    return [_random_frame(rng) for _ in range(count)]


def _random_frame(rng: np.random.Generator) -> Frame:
    def field(bits: int) -> int:
        value = int(rng.integers(2**bits, dtype=np.uint64)) if bits < 64 else int.from_bytes(rng.bytes(8), "big")
        return value if rng.random() < 0.5 else (EDGES[rng.integers(len(EDGES))] + int(rng.integers(-1, 2))) % 2**bits

    kind = rng.integers(5)
    if kind == 0:
        return Hello(PROTOCOL, field(32), field(64), field(32), field(16), field(8))
    if kind == 1:
        return Stat(field(32), field(32), field(16), field(16) - 2**15)
    if kind == 2:
        return Pong(field(32), field(32))
    if kind == 3:
        return Ack(field(8), field(8))
    samples = rng.integers(-(2**15), 2**15, (rng.integers(1, MOST_SAMPLES + 1), 3), dtype=np.int16)
    if rng.random() < 0.5:  # long runs without a zero byte, and here and there one: where blocks of COBS are full
        samples |= np.int16(0x0101)
        samples[rng.random(samples.shape) < rng.choice([0, 0.01, 0.1])] = 1
    return Data(field(8), field(16), field(32), samples)
