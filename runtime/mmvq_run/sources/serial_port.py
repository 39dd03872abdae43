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

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.frames import OP_START, Command, encode
from mmvq_run.records import END, LOST, Kind, Opening, Record, Tick, opened, wall_now
from mmvq_run.stop import Stop

READ_S: Final = 0.1  # a read gives up after that, so that a wish to stop and silence are noticed
WRITE_S: Final = 1.0
LARGEST_READ: Final = 65_536
FIRST_WAIT_S: Final = 0.2  # before a lost port is tried again; doubled up to
LONGEST_WAIT_S: Final = 1.0  # so that events come again two seconds after the port is back
BY_ID: Final = Path("/dev/serial/by-id")  # names that stay when ports are renumbered

TERMINAL_ERRORS: Final[tuple[type[Exception], ...]] = (
    () if sys.platform == "win32" else (importlib.import_module("termios").error,)
)

Say = Callable[[str], None]


class PortLost(Failed):
    """The port went away and did not come back."""


def read_port(name: str, baud: int, reconnect_s: float, stop: Stop, say: Say) -> Iterator[Record | Tick]:
    """Records of a port until a wish to stop.

    BadInput if it cannot be opened at first; PortLost, after the last record, if it goes away and is not back
    within `reconnect_s` seconds.
    """
    port = _open(name, baud)
    stable = stable_name(name)
    while True:
        yield opened(time.monotonic_ns(), Opening(name, wall_now()))
        try:
            yield from _read(port, stop)
        except OSError as error:
            yield Record(time.monotonic_ns(), Kind.CLOSED, LOST)
            reason = str(error)
        else:
            yield Record(time.monotonic_ns(), Kind.CLOSED, END)
            return
        finally:
            port.close()
        say(f"{name}: lost ({reason})" + (f"; waiting up to {reconnect_s:g} s for it" if reconnect_s else ""))
        again = _reopen(stable, baud, reconnect_s, stop)
        if again is None:
            if stop.asked:
                return
            waited = f" and not back within {reconnect_s:g} s" if reconnect_s else ""
            raise PortLost(f"{name}: the port went away{waited}; plug it in and start again")
        say(f"{name}: back again")
        port = again


def stable_name(name: str, by_id: Path = BY_ID) -> str:
    """The name of the same device that stays when ports are renumbered; `name` itself where there is none."""
    if "://" in name or not by_id.is_dir():
        return name
    device = Path(name).resolve()
    return next((str(link) for link in sorted(by_id.iterdir()) if link.resolve() == device), name)


def _read(port: serial.Serial, stop: Stop) -> Iterator[Record | Tick]:
    port.write(encode(Command(OP_START, 0)))
    while not stop.asked:
        data = port.read(min(max(1, port.in_waiting), LARGEST_READ))
        now = time.monotonic_ns()
        yield Record(now, Kind.BYTES, data) if data else Tick(now)


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


def _reopen(name: str, baud: int, within_s: float, stop: Stop) -> serial.Serial | None:
    deadline = time.monotonic() + within_s
    wait_s = FIRST_WAIT_S
    while not stop.asked and (left := deadline - time.monotonic()) > 0:
        stop.sleep(min(wait_s, left))
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        try:
            return _connect(name, baud)
        except OSError:
            continue  # not there yet, or still held by whoever held it
    return None


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
