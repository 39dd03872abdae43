"""A wearable that is none as a source: in this process, without a port, with faults on demand. For trying the line.

    synthetic://?rate=100&seconds=60&seed=1&fault=drop:0.01&fault=drift:500

    rate      Hz, 1 to 10000 (default 100)                 seed     of movement, faults and boot_id (default 0)
    seconds   of device time (default: for ever)           fault    as of mmvq-bridge simulate, KIND:X, may be repeated

It speaks protocol 1, so everything behind the port is as with a device. Movement is mmvq_bridge.synthetic's: nobody's,
so labels of it mean nothing. `heard` does the same for any simulated device.
"""

import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mmvq_bridge.command import BadInput
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import (
    Connection,
    Faults,
    FaultyLine,
    Happening,
    PluggedIn,
    Unplugged,
    faulty_device,
    hear,
    parse_faults,
)
from mmvq_bridge.frames import OP_START, Command, encode
from mmvq_bridge.recordings import RATES_HZ
from mmvq_bridge.stream.reconnect import PortLost
from mmvq_bridge.stream.records import END, LOST, Kind, Opening, Record, Tick, opened
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.synthetic import motion
from mmvq_run.sources.files import paced

SCHEME: Final = "synthetic"
EXAMPLE: Final = "synthetic://?rate=100&seconds=60&seed=1&fault=drop:0.01"
START: Final = encode(Command(OP_START, 0))  # which read_port, too, says to a device that speaks
# Options that are numbers: default, lowest and highest value.
NUMBERS: Final = {"rate": (100.0, *RATES_HZ), "seconds": (math.inf, 0.001, math.inf), "seed": (0.0, 0.0, 2.0**32 - 1)}


def open_synthetic(url: str, stop: Stop, say: Callable[[str], None], speed: float | None) -> Iterator[Record | Tick]:
    """Records of the device that `url` asks for, at `speed` times true speed, until its end or a wish to stop.

    speed None: as fast as possible, with the times from 0 at which they would have come and without wall time, so that
    the same URL gives the same records. BadInput for a URL that says something else; PortLost, after the last record,
    if the fault `unplug` came without `replug`.
    """
    numbers, faults = _parse(url)
    rate_hz, seed = numbers["rate"], int(numbers["seed"])
    device = faulty_device(motion(numbers["seconds"], rate_hz, seed), rate_hz, faults, seed)
    say(f"{url}: a synthetic wearable; labels of its movement mean nothing")
    return _play(url, device, FaultyLine(faults, seed), stop, speed)


def heard(
    device: SimulatedDevice, line: FaultyLine, source: str, start_ns: int = 0, wall: datetime | None = None
) -> Iterator[Record]:
    """What a host hears that opens the device's port: opened, bytes, closed, with the host times at which they come.

    The first record is of host time `start_ns` and, if that is known, of `wall` in UTC. The host asks the device to
    start whenever the port opens, as it asks a real one.
    """
    for at_s, kind, payload in _told(Connection(device, line)):
        host_ns = start_ns + round(at_s * 1e9)
        if kind == Kind.OPENED:
            said = None if wall is None else f"{wall + timedelta(seconds=at_s):%Y-%m-%dT%H:%M:%S}Z"
            yield opened(host_ns, Opening(source, said))
        else:
            yield Record(host_ns, kind, payload)


def _told(connection: Connection) -> Iterator[tuple[float, Kind, bytes]]:
    """True time, kind and bytes of each record."""
    item: Happening
    for item in chain([PluggedIn(0.0)], hear(connection)):
        if isinstance(item, Unplugged):
            yield item.at_s, Kind.CLOSED, LOST
        elif isinstance(item, PluggedIn):
            yield item.at_s, Kind.OPENED, b""
            for answer in connection.receive(START, item.at_s):
                yield answer.at_s, Kind.BYTES, answer.wire
        elif item.wire:
            yield item.at_s, Kind.BYTES, item.wire
    if not isinstance(item, Unplugged):
        yield item.at_s, Kind.CLOSED, END


def _play(
    url: str, device: SimulatedDevice, line: FaultyLine, stop: Stop, speed: float | None
) -> Iterator[Record | Tick]:
    start_ns, wall = (0, None) if speed is None else (time.monotonic_ns(), datetime.now(UTC))
    away = False
    for record in paced(heard(device, line, url, start_ns, wall), speed, stop):
        away = isinstance(record, Record) and (record.kind, record.payload) == (Kind.CLOSED, LOST)
        yield record
    if away and line.faults.replug_s == math.inf:
        raise PortLost(f"{url}: unplugged for good, as asked; add fault=replug:5 to plug it in again")


def _parse(url: str) -> tuple[dict[str, float], Faults]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadInput(f"{url}: {error}; say {EXAMPLE}") from None
    if parts.scheme != SCHEME or parts.netloc or parts.path or parts.fragment:
        raise BadInput(f"{url}: no synthetic wearable; say {EXAMPLE}")
    numbers: dict[str, float] = {}
    words: list[str] = []
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name == "fault":
            words.append(text.replace(":", "=", 1))
        elif name not in NUMBERS:
            raise BadInput(f"{url}: {name!r} is unknown; use {', '.join(NUMBERS)} or fault, as in {EXAMPLE}")
        elif name in numbers:
            raise BadInput(f"{url}: {name} is given twice; give it once")
        else:
            numbers[name] = _number(url, name, text)
    return {name: default for name, (default, _, _) in NUMBERS.items()} | numbers, parse_faults(words)


def _number(url: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    _, low, high = NUMBERS[name]
    if not low <= value <= high or (name == "seed" and not value.is_integer()):
        whole = "a whole number" if name == "seed" else "a number"
        raise BadInput(f"{url}: {name} is {text!r}; it is {whole} from {low:g} to {high:.10g}")
    return value
