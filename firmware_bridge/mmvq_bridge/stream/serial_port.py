"""A serial port as a source. All that is known of pyserial is here (EDGE 3: its successor may come one day).

On open the device is asked to start, so that it says HELLO at once. Unplugging shows as SerialException or as a bare
OSError, depending on the moment; SerialException is an OSError, so one `except` takes both.
"""

import errno
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import serial
from serial.tools import list_ports

from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import OP_START, Command, Decoder, encode
from mmvq_bridge.stream.reconnect import keep_reading, retried
from mmvq_bridge.stream.records import Kind, Record, Tick
from mmvq_bridge.stream.stop import Stop

READ_S: Final = 0.1  # a read gives up after that, so that a wish to stop and silence are noticed
WRITE_S: Final = 1.0
LARGEST_READ: Final = 65_536
BAUD: Final = 115_200  # most boards' own choice
RECONNECT_S: Final = 30.0
BY_ID: Final = Path("/dev/serial/by-id")  # names that stay when ports are renumbered

TERMINAL_ERRORS: Final[tuple[type[Exception], ...]] = (
    () if sys.platform == "win32" else (importlib.import_module("termios").error,)
)

Say = Callable[[str], None]
Ask = Callable[[int], bytes]  # what to say to the device at a host time, in nanoseconds


def read_port(
    name: str, baud: int, reconnect_s: float, stop: Stop, say: Say, ask: Ask | None = None
) -> Iterator[Record | Tick]:
    """Records of a port until a wish to stop. `ask` is asked between reads.

    BadInput if it cannot be opened at first; PortLost, after the last record, if it goes away and is not back
    within `reconnect_s` seconds.
    """
    port = _Port(_open(name, baud), ask)
    stable = stable_name(name)

    def again() -> _Port | None:
        return retried(lambda _: _Port(_connect(stable, baud), ask), reconnect_s, stop)

    yield from keep_reading(name, port, again, reconnect_s, stop, say)


def stable_name(name: str, by_id: Path = BY_ID) -> str:
    """The name of the same device that stays when ports are renumbered; `name` itself where there is none."""
    if "://" in name or not by_id.is_dir():
        return name
    device = Path(name).resolve()
    return next((str(link) for link in sorted(by_id.iterdir()) if link.resolve() == device), name)


class _Port:
    def __init__(self, port: serial.Serial, ask: Ask | None) -> None:
        self._port = port
        self._ask = ask

    def read(self, stop: Stop) -> Iterator[Record | Tick]:
        # Who speaks the protocol is asked to start, and says HELLO then. To whom nothing is known of nothing is said: a
        # board that prints lines may take a byte of it for Ctrl-C, and stop (MicroPython does).
        port, decoder, is_known = self._port, Decoder(), False
        while not stop.asked:
            data = port.read(min(max(1, port.in_waiting), LARGEST_READ))
            now = time.monotonic_ns()
            if not is_known and decoder.feed(data):
                is_known = True
                port.write(encode(Command(OP_START, 0)))
            yield Record(now, Kind.BYTES, data) if data else Tick(now)
            if self._ask is not None and (words := self._ask(time.monotonic_ns())):
                port.write(words)

    def close(self) -> None:
        self._port.close()


def _connect(name: str, baud: int) -> serial.Serial:
    try:
        return serial.serial_for_url(name, baudrate=baud, timeout=READ_S, write_timeout=WRITE_S, exclusive=True)
    except TERMINAL_ERRORS as error:  # pyserial lets it through where a port vanishes while it is being opened
        raise OSError(*error.args) from error


def _open(name: str, baud: int) -> serial.Serial:
    try:
        return _connect(name, baud)
    except ValueError as error:
        raise BadInput(f"{name}: {error}; check --port and --baud") from None
    except OSError as error:
        raise BadInput(f"{name}: {_why_not(error)}") from None


def _why_not(error: OSError) -> str:
    number = error.errno
    text = str(error)
    if number in (errno.EAGAIN, errno.EBUSY) or "exclusively lock" in text:
        return "in use by another program; close that one first"
    if number == errno.EACCES:
        return "no permission; on Linux, add yourself to the group dialout and log in again"
    if number == errno.ENOENT or "FileNotFoundError" in text:
        return f"no such port; {_at_hand()}"
    return f"cannot be opened ({text}); {_at_hand()}"


def _at_hand() -> str:
    ports = sorted(str(path) for path in BY_ID.iterdir()) if BY_ID.is_dir() else []
    ports = ports or sorted(port.device for port in list_ports.comports())
    return f"at hand: {', '.join(ports)}" if ports else "no port at hand, is the device plugged in?"
