"""Where records come from: a port, a URL, a pipe, files of several kinds."""

from collections.abc import Callable, Iterator
from pathlib import Path

from mmvq_bridge.recordings import RecordingFile
from mmvq_bridge.stream.records import Record, Tick
from mmvq_bridge.stream.serial_port import BAUD, RECONNECT_S, read_port
from mmvq_bridge.stream.stop import Stop
from mmvq_run.sources.files import open_file, paced
from mmvq_run.sources.pipe import open_pipe

Say = Callable[[str], None]
Source = Iterator[Record | Tick] | RecordingFile


def open_source(
    name: str, units: str, stop: Stop, say: Say, *,
    baud: int = BAUD, reconnect_s: float = RECONNECT_S, speed: float | None = None,
) -> Source:  # fmt: skip
    """A port or a URL by its name, `-` for standard input, else a file, told by what it holds. BadInput if there is no
    such thing. speed: of what was recorded, or is synthetic."""
    if "://" in name or Path(name).is_char_device():
        return open_port(name, stop, say, baud=baud, reconnect_s=reconnect_s, speed=speed)
    if name == "-":
        return open_pipe(units, speed, stop, say)
    source = open_file(name, units, say)
    return source if isinstance(source, RecordingFile) else paced(source, speed, stop)


def open_port(
    name: str, stop: Stop, say: Say, *, baud: int = BAUD, reconnect_s: float = RECONNECT_S, speed: float | None = 1.0
) -> Iterator[Record | Tick]:
    """What sends bytes while we listen: a serial port, a URL of pyserial, a Bluetooth UART (ble://NAME), or a wearable
    that is none (synthetic://)."""
    if name.startswith("synthetic:"):
        from mmvq_run.sources.synthetic import open_synthetic  # numpy's random numbers take megabytes

        return open_synthetic(name, stop, say, speed)
    if name.startswith("ble:"):
        from mmvq_run.sources.ble import read_ble  # with asyncio

        return read_ble(name, reconnect_s, stop, say)
    return read_port(name, baud, reconnect_s, stop, say)
