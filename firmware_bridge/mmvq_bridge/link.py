"""A serial port that is none: a simulated device behind a pseudo-terminal (Linux).

    SimulatedDevice ── FaultyLine ── master | slave /dev/pts/N ◄── symlink ◄── reader (pyserial, mmvq-run, cat)

The device boots when a reader first opens the port, as a board does whose USB bridge resets it then. From then on its
time runs, whether anyone listens or not. A reader that has the port open loses nothing as long as it keeps reading:
the device waits for it, without end at full speed, up to `PATIENCE_S` at a given one. What finds no reader is counted.
At the end, and when unplugged, the reader gets the time to take what was written, then the port vanishes under it.
Plugged in again, the port is at the same link with a new pseudo-terminal behind it. The device boots at that moment,
as it lives on the port's power; at full speed, where no time passes by itself, it waits for a reader once more.
"""

import array
import errno
import fcntl
import math
import os
import select
import termios
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mmvq_bridge.command import BadInput
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import Connection, FaultyLine, PluggedIn, Unplugged

BOOT_DELAY_S: Final = 0.3  # a reader opens the port and then empties its buffer (pyserial does); HELLO must come after
POLL_S: Final = 0.02  # how long the host's bytes, or an opening or closing port, may go unnoticed
PATIENCE_S: Final = 1.0  # for a reader that has the port open and does not read; then frames are lost, as on a board
FAREWELL_S: Final = 5.0  # for a reader that does not take the last bytes
EMPTY_CHECKS: Final = 5  # the kernel moves bytes up in steps, so "empty" counts when seen this often in a row


class PseudoTerminal:
    """A port at `link`; use it in a `with`. BadInput if `link` cannot be made, or is there and nothing of ours."""

    def __init__(self, link: Path | str) -> None:
        self.link = Path(link)
        self.device = ""
        self._master: int | None = None  # None while it is unplugged
        self._unsent = b""

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.unplug()

    def plug(self) -> None:
        """Let the port appear, with a new pseudo-terminal behind it."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        # With our own end closed, the master shows POLLHUP whenever nobody has the port open.
        os.close(slave)
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        try:
            _make_link(self.link, self.device)
        except BadInput:
            os.close(self._master)
            self._master = None
            raise

    def unplug(self) -> None:
        """Let the port vanish, also under a reader that has it open, and what was not sent with it."""
        if self._master is None:
            return
        with suppress(OSError):  # somebody else removed the link, or put a file of theirs there
            if str(self.link.readlink()) == self.device:
                self.link.unlink()
        os.close(self._master)
        self._master, self.device, self._unsent = None, "", b""

    def is_open(self, wait_s: float = 0.0) -> bool:
        """Whether a reader has the port open; comes back early if the host writes."""
        return self._wait(select.POLLIN, wait_s)

    def send(self, frame: bytes, patience_s: float) -> bool:
        """Write a frame; wait up to `patience_s` for room. False: there was none, and nothing of it was written."""
        deadline = time.monotonic() + patience_s
        while not self._flush():
            left = min(POLL_S, deadline - time.monotonic())
            if left <= 0 or not self._wait(select.POLLOUT, left):
                return False
        self._unsent = frame
        self._flush()
        return True

    def receive(self) -> bytes:
        """What the host has written by now."""
        if self._master is None:
            return b""
        try:
            return os.read(self._master, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # nobody has the port open
                return b""
            raise

    def forget(self) -> None:
        """Throw away what a reader left unread, so that the next one does not find it."""
        self._unsent = b""
        with suppress(OSError):
            slave = self._open_slave()
            termios.tcflush(slave, termios.TCIFLUSH)
            os.close(slave)

    def drain(self) -> int:
        """Wait until the reader has taken everything or closed the port; the number of bytes it did not take."""
        unread, empty, deadline = 0, 0, time.monotonic() + FAREWELL_S
        while self.is_open() and empty < EMPTY_CHECKS and time.monotonic() < deadline:
            before, unread = unread, self._unread() if self._flush() else len(self._unsent)
            empty = 0 if unread else empty + 1
            if unread != before:
                deadline = time.monotonic() + FAREWELL_S
            time.sleep(POLL_S)
        return unread

    def _flush(self) -> bool:
        with suppress(BlockingIOError):
            if self._unsent and self._master is not None:
                self._unsent = self._unsent[os.write(self._master, self._unsent) :]
        return not self._unsent

    def _wait(self, events: int, seconds: float) -> bool:
        hung_up = True
        if self._master is not None:
            self._poll.register(self._master, events)
            hung_up = any(event & select.POLLHUP for _, event in self._poll.poll(seconds * 1000))
        if hung_up and seconds:
            time.sleep(min(seconds, POLL_S))  # poll returns at once while nobody has the port open
        return not hung_up

    def _unread(self) -> int:
        # Only the slave's side knows; it is opened for the moment of the question, because while we held it,
        # a reader's leaving would not show. A reader that refuses others (TIOCEXCL) is taken at its word.
        try:
            slave = self._open_slave()
        except OSError as error:
            if error.errno == errno.EBUSY:
                return 0
            raise
        count = array.array("i", [0])
        fcntl.ioctl(slave, termios.FIONREAD, count)
        os.close(slave)
        return count[0]

    def _open_slave(self) -> int:
        return os.open(self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


@dataclass(frozen=True)
class Played:
    """What became of a playback, in frames; `unread` is in bytes.

    sent: written; unheard: found the port closed; overrun: found a reader that did not read; unread: what the reader
    had not taken when the port vanished; unplugs: how often it did by the fault `unplug`.
    """

    sent: int
    unheard: int
    overrun: int
    unread: int
    unplugs: int = 0


def play(
    port: PseudoTerminal,
    line: FaultyLine,
    device: SimulatedDevice,
    speed: float,
    booted: Callable[[], None] = lambda: None,
) -> Played:
    """Wait for a reader, boot the device, carry its frames until the recording ends or the plug is out for good.

    speed: seconds of true time in a second; math.inf is as fast as the reader reads.
    """
    _wait_for_reader(port)
    booted()
    connection = Connection(device, line)
    sent = unheard = overrun = unread = 0
    boot = time.monotonic()
    was_open, stalled = True, False
    while (due_s := connection.next_due_s) is not None:
        if speed < math.inf:
            is_open = port.is_open(min(POLL_S, max(0.0, due_s / speed - (time.monotonic() - boot))))
            now_s = (time.monotonic() - boot) * speed
        else:
            is_open, now_s = port.is_open(), due_s
        if was_open and not is_open:
            port.forget()
        asked = port.receive()
        # A reader that came a moment ago and asked at once is there for the answer.
        was_open = is_open = is_open or (bool(asked) and port.is_open())
        for item in connection.until(now_s) + connection.receive(asked, now_s):
            if isinstance(item, Unplugged):
                unread += port.drain()
                port.unplug()
                is_open = was_open = stalled = False
            elif isinstance(item, PluggedIn):
                port.plug()
                if speed == math.inf:
                    _wait_for_reader(port)
                    is_open = was_open = True
            elif not item.wire:
                continue
            elif is_open and port.send(item.wire, 0.0 if stalled else math.inf if speed == math.inf else PATIENCE_S):
                sent, stalled = sent + 1, False
            elif port.is_open():
                overrun, stalled = overrun + 1, True
            else:
                unheard, is_open, stalled = unheard + 1, False, False
    return Played(sent, unheard, overrun, unread + port.drain(), connection.unplugs)


def _wait_for_reader(port: PseudoTerminal) -> None:
    while True:  # a reader that only looks in does not count
        if port.is_open(POLL_S):
            time.sleep(BOOT_DELAY_S)
            if port.is_open():
                return


def _make_link(link: Path, device: str) -> None:
    try:
        # What a killed simulation left behind: a link to a pseudo-terminal that is gone.
        if link.is_symlink() and str(link.readlink()).startswith("/dev/pts/") and not link.exists():
            link.unlink()
        link.symlink_to(device)
    except FileExistsError:
        raise BadInput(f"{link}: there already; remove it, or choose another path for the port") from None
    except OSError as error:
        raise BadInput(f"{link}: {error.strerror}; choose a path where a link can be made") from None
