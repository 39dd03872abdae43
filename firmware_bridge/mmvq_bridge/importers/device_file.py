"""Recordings as devices write them, told by their first bytes (`DEVICE_FILES`), all in g.

    GENEActiv .bin    59 lines of header, then pages of 300 samples in hex, each with its time
    Axivity .cwa      1024 bytes of header, then blocks of 512 bytes, each with its time
    ActiGraph .gt3x   a zip archive; its log.bin holds a record for every second
    GENEActiv .csv    100 lines of header, then time,x,y,z,light,button,temperature

The binary ones are read by actfast, of the extra `devices`, in a process of its own: it takes as much memory as a file
claims to need (and 4 GB for any .gt3x), and where there is none it ends the process that it runs in. Here that is one
line, and a limit keeps a file that claims or unpacks to too much from taking the machine's memory. The CSV is read
here, in pieces, and takes less memory than it has bytes.

Devices stamp pages and blocks by their clock, and actfast counts on from each stamp with the nominal rate. The true
rate is up to 3 % off, so samples are spread evenly from a stamp to the next, except where a gap is between them.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import LIMIT_G, RATES_HZ, Floats, Recording, RecordingFile
from mmvq_bridge.stream.records import printable

GENEACTIV_CSV: Final = b"Device Type,GENEActiv"
# Files that devices write. The .gt3x of ActiGraph is a zip archive.
DEVICE_FILES: Final = {
    b"MD\xfc\x03": "an Axivity file (.cwa)",
    b"Device Identity": "a GENEActiv file (.bin)",
    GENEACTIV_CSV: "a GENEActiv CSV",
    b"PK\x03\x04": "a zip archive, as ActiGraph's .gt3x is",
}
OFF: Final = 0.001  # of the rate: from here on it is said; nobody notices less
LONGEST_DAYS: Final = 366.0  # batteries last two months; beyond a year a clock was set, and the gap is none
STEADY: Final = 0.04  # of a page's or block's time: an AX3 is up to 3 % off; a longer way to the next stamp is a gap
PIECE: Final = 1 << 20  # bytes of a CSV at a time
MOST_HEADER_LINES: Final = 200  # of a CSV; GENEActiv writes 100
LEAST_MEMORY: Final = 6 << 30  # bytes of addresses for actfast: a .gt3x takes 4 GB of them and hardly uses any
BYTES_A_SAMPLE: Final = 8 + 3 * 4  # ns and xyz, as `send_samples` sends them
CHILD: Final = "import sys; from mmvq_bridge.importers.device_file import send_samples; send_samples(sys.argv[1])"
# What the three formats call the same thing in actfast's metadata.
DEVICE_KEYS: Final = ("Device Type", "hardware_type")
SERIAL_KEYS: Final = ("Device Unique Serial Code", "device_id", "Serial Number")

ROW: Final = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d):(\d{3})" + rb",(-?\d{1,4}(?:\.\d{0,9})?)" * 3 + rb",")

Nanoseconds = npt.NDArray[np.int64]
Acceleration = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """What a device kept. ns: its clock at each sample since 1970, (n,); xyz: g, (n, 3); odd: what a person may ask."""

    device: str
    rate_hz: float
    ns: Nanoseconds
    xyz: Acceleration
    odd: tuple[str, ...] = ()


def read_device_file(path: str) -> RecordingFile:
    """The recording in a file of DEVICE_FILES: one, in g, without labels, with gaps where the device's clock has them.

    A file that is cut short or damaged in places gives what can be read, with a notice. BadInput if nothing can be,
    if the reader is not installed, or if there is no such file.
    """
    return read_dated_device_file(path)[0]


def read_dated_device_file(path: str) -> tuple[RecordingFile, float]:
    """The same, and the device's clock at the recording's start, in seconds since 1970 (in its own time zone)."""
    try:
        with Path(path).open("rb") as file:
            if not Path(path).is_file():
                raise BadInput(f"{path}: no file but a pipe or a device; save what comes from it to a file first")
            head = file.read(max(map(len, DEVICE_FILES)))
            file.seek(0)
            samples = _of_csv(file, path) if head.startswith(GENEACTIV_CSV) else None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give the path of a file") from None
    name = next((name for magic, name in DEVICE_FILES.items() if head.startswith(magic)), None)
    if name is None:
        raise BadInput(f"{path}: no file of a GENEActiv, an Axivity or an ActiGraph")
    samples = samples or _of_actfast(path, name)
    return _recording(samples, path, name), float(samples.ns[0]) / 1e9


def send_samples(path: str) -> None:
    """What actfast reads of `path`, to standard output: a line of JSON, then times and samples as they lie in memory.

    This is what the process of its own does.
    """
    _limit_memory()
    import actfast

    out = sys.stdout.buffer
    try:
        found = actfast.read(path, lenient=True)
    except (ValueError, OSError) as error:
        out.write(json.dumps({"error": _short(str(error))}).encode() + b"\n")
        return
    table = next(table for table in found["timeseries"].values() if "acceleration" in table)
    fields = {key: text for section in found["metadata"].values() for key, text in section.items()}
    damages = found["warnings"]
    odd = []
    if damages:
        odd.append(f"damaged in {len(damages)} places, which are left out; first: {_short(damages[0])}")
    stamped = found["timeseries"].get("low_frequency")
    pages = len(stamped["datetime"]) if stamped else 0
    claimed = fields.get("Number of Pages", "")[:12]
    if claimed.isdecimal() and int(claimed) > pages:
        odd.append(f"cut short: {pages} of {claimed} pages are there")
    told = {"samples": len(table["datetime"]), "device": _device(fields), "odd": odd}
    out.write(json.dumps(told).encode() + b"\n")
    out.write(np.ascontiguousarray(table["datetime"], np.int64).data)
    out.write(np.ascontiguousarray(table["acceleration"], np.float32).data)


def _limit_memory() -> None:
    """Half of the machine's memory, as whoever takes the samples needs as much again. Linux keeps such a limit."""
    if sys.platform != "linux":
        return
    import resource

    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [limit for limit in (max(half, LEAST_MEMORY), soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))


def _of_actfast(path: str, name: str) -> Samples:
    if find_spec("actfast") is None:
        raise BadInput(f"{path}: {name}; reading it needs actfast: pip install 'mmvq[devices]'")
    command = [sys.executable, "-P", "-c", CHILD, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline() or b"{}")
        count = told.get("samples", 0)
        data = child.stdout.read(count * BYTES_A_SAMPLE)
    if child.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    if "error" in told:
        raise BadInput(f"{path}: {name}, but it cannot be read ({told['error']}); copy it from the device again")
    if not told or len(data) < count * BYTES_A_SAMPLE:
        raise BadInput(f"{path}: {name}, but reading it takes more memory than there is; if it is small, it is damaged")
    ns = np.frombuffer(data, np.int64, count)
    xyz = np.frombuffer(data, np.float32, 3 * count, ns.nbytes).reshape(-1, 3)
    nominal_ns = float(np.median(np.diff(ns))) if count > 1 else 0.0
    rate_hz = round(1e9 / nominal_ns, 2) if nominal_ns > 0 else 0.0
    odd = tuple(told["odd"])
    if RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:  # any other is refused
        ns, true_ns = _spread(ns, nominal_ns)
        if abs(true_ns / nominal_ns - 1) > OFF:
            odd += (f"it sampled at {1e9 / true_ns:.2f} Hz by its clock, which counts",)
    return Samples(told["device"], rate_hz, ns, xyz, odd)


def _spread(ns: Nanoseconds, nominal_ns: float) -> tuple[Nanoseconds, float]:
    """Times spread evenly from stamp to stamp, and what lies between two samples in truth (the median).

    Where the step is not the nominal one, there is a stamp. (A stamp that comes exactly in time is not seen: there is
    nothing to spread.) Before a gap, and at the end, the median serves.
    """
    first = np.concatenate([[0], np.flatnonzero(np.diff(ns) != nominal_ns) + 1])
    counts = np.diff(first, append=len(ns))
    steps = np.diff(ns[first], append=ns[-1]) / counts
    steady = np.abs(steps - nominal_ns) < STEADY * nominal_ns
    steady[-1] = False
    true_ns = float(np.median(steps[steady])) if steady.any() else nominal_ns
    steps = np.where(steady, steps, true_ns)
    since_stamp = np.arange(len(ns)) - np.repeat(first, counts)
    return np.repeat(ns[first], counts) + np.rint(since_stamp * np.repeat(steps, counts)).astype(np.int64), true_ns


def _of_csv(file: IO[bytes], path: str) -> Samples:
    """The samples of a GENEActiv CSV. A last row that is cut short is left out, with a notice."""
    fields: dict[str, str] = {}
    stamps: list[Nanoseconds] = [np.empty(0, np.int64)]
    rows: list[Acceleration] = [np.empty((0, 3), np.float32)]
    at = 1  # number of a piece's first line
    odd: tuple[str, ...] = ()
    for lines, is_last in _pieces_of_lines(file, path):
        found = [ROW.match(line) for line in lines]
        if len(rows) == 1:
            header = next((i for i, row in enumerate(found) if row), len(found))
            fields |= _header_fields(lines[:header])
            lines, found, at = lines[header:], found[header:], at + header
        if is_last and found and found[-1] is None:
            odd = ("cut short inside its last row",) if lines[-1].strip() else ()
            found.pop()
        if None in found:
            raise BadInput(f"{path}: line {at + found.index(None)} is no row of time,x,y,z,...; export it again")
        if at > MOST_HEADER_LINES and len(rows) == 1:
            raise BadInput(f"{path}: a GENEActiv CSV without rows of time,x,y,z,...; export it again")
        groups = [row.groups() for row in found if row]
        try:
            times = np.array([day + b"." + ms for day, ms, *_ in groups], "S23").astype("datetime64[ms]")
        except ValueError as error:
            raise BadInput(f"{path}: lines {at} to {at + len(lines)}: {error}; export it again") from None
        if groups:
            stamps.append(times.astype("datetime64[ns]").astype(np.int64))
            rows.append(np.array([values for _, _, *values in groups], "S24").astype(np.float32))
        at += len(lines)
    frequency = fields.get("Measurement Frequency", "").removesuffix("Hz").strip()
    return Samples(_device(fields), _number(frequency), np.concatenate(stamps), np.concatenate(rows), odd)


def _pieces_of_lines(file: IO[bytes], path: str) -> Iterator[tuple[list[bytes], bool]]:
    """Lines, about a million bytes of them at a time, and whether these are the last."""
    rest = b""
    while piece := file.read(PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > PIECE:
            raise BadInput(f"{path}: a line of over {PIECE} bytes; a GENEActiv CSV has a row for every sample")
        yield lines, False
    yield [rest], True


def _header_fields(lines: list[bytes]) -> dict[str, str]:
    pairs = (line.decode("utf-8", "replace").partition(",") for line in lines)
    return {key.strip(): text.strip() for key, _, text in pairs}


def _device(fields: Mapping[str, str]) -> str:
    words = [next((fields[key] for key in keys if key in fields), "") for keys in (DEVICE_KEYS, SERIAL_KEYS)]
    return _short(" ".join(words)).strip() or "unknown device"


def _short(text: str) -> str:
    """What a file says, fit for a line of a message."""
    return printable(text[:200])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _recording(samples: Samples, path: str, name: str) -> RecordingFile:
    rate_hz, xyz = samples.rate_hz, samples.xyz
    if len(xyz) < 2:
        raise BadInput(f"{path}: {name}, but without samples that can be read; copy it from the device again")
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise BadInput(f"{path}: {name}, but with {rate_hz:g} Hz as its rate; a rate lies between 1 and 10000 Hz")
    bad = np.flatnonzero(~(np.abs(xyz) <= LIMIT_G).all(axis=1))
    if len(bad):
        raise BadInput(f"{path}: {name}, but sample {bad[0] + 1} is {xyz[bad[0]]} g: damaged, or unknown units")
    t: Floats = (samples.ns - samples.ns[0]) / 1e9
    odd = list(samples.odd)
    forward = np.append(True, t[1:] > np.maximum.accumulate(t)[:-1])
    if not forward.all():
        t, xyz = t[forward], xyz[forward]
        odd.append(f"{np.count_nonzero(~forward)} samples are left out because its clock ran backwards before them")
    if t[-1] > LONGEST_DAYS * 86_400:
        days = f"{t[-1] / 86_400:.0f} days"
        raise BadInput(f"{path}: {name}, but over {days}: its clock was set meanwhile; export the part that you want")
    start = np.datetime_as_string(samples.ns[:1].astype("datetime64[ns]"), unit="s")[0].replace("T", " ")
    what = f"{samples.device}, {len(t)} samples at {rate_hz:g} Hz over {t[-1]:.1f} s from {start} by its clock"
    notices = tuple(f"{path}: {line}" for line in [what, *odd])
    label = np.full(len(t), -1, np.int32)
    recording = Recording(0, "", t, np.ascontiguousarray(xyz), label)
    return RecordingFile(path, (recording,), (), rate_hz, True, {"mmvq.device": samples.device}, notices)
