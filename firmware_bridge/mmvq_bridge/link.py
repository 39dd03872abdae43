"""A serial port that is none: a simulated device behind a pseudo-terminal (Linux).

    SimulatedDevice ── FaultyLine ── master | slave /dev/pts/N ◄── symlink ◄── reader (pyserial, mmvq-run, cat)

The device boots when a reader first opens the port, as a board does whose USB bridge resets it then. From then on its
time runs, whether anyone listens or not. A reader that has the port open loses nothing as long as it keeps reading:
the device waits for it, without end at full speed, up to `PATIENCE_S` at a given one. What finds no reader is counted.
At the end the reader gets the time to take what was written, then the port vanishes under it.
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
from mmvq_bridge.faults import FaultyLine

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
        self._unsent = b""

    def __enter__(self) -> Self:
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
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # somebody else removed the link, or put a file of theirs there
            if str(self.link.readlink()) == self.device:
                self.link.unlink()
        os.close(self._master)

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
            self._unsent = self._unsent[os.write(self._master, self._unsent) :] if self._unsent else b""
        return not self._unsent

    def _wait(self, events: int, seconds: float) -> bool:
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
    had not taken when the port vanished.
    """

    sent: int
    unheard: int
    overrun: int
    unread: int


def play(
    port: PseudoTerminal,
    line: FaultyLine,
    device: SimulatedDevice,
    speed: float,
    booted: Callable[[], None] = lambda: None,
) -> Played:
    """Wait for a reader, boot the device, carry its frames until the recording ends or the fault `unplug` comes.

    speed: seconds of device time in a second; math.inf is as fast as the reader reads.
    """
    while True:  # a reader that only looks in does not boot the device
        if port.is_open(POLL_S):
            time.sleep(BOOT_DELAY_S)
            if port.is_open():
                break
    booted()
    sent = unheard = overrun = 0
    boot = time.monotonic()
    was_open, stalled = True, False
    while (due_s := device.next_due_s) is not None and due_s <= line.faults.unplug_s:
        if speed < math.inf:
            is_open = port.is_open(min(POLL_S, max(0.0, due_s / speed - (time.monotonic() - boot))))
            now_s = min((time.monotonic() - boot) * speed, line.faults.unplug_s)
        else:
            is_open, now_s = port.is_open(), due_s
        if was_open and not is_open:
            port.forget()
        was_open = is_open
        frames = [line.carry(frame) for _, frame in device.frames_until(now_s)]
        for frame in filter(None, frames + device.receive(port.receive(), now_s)):
            if is_open and port.send(frame, 0.0 if stalled else math.inf if speed == math.inf else PATIENCE_S):
                sent, stalled = sent + 1, False
            elif port.is_open():
                overrun, stalled = overrun + 1, True
            else:
                unheard, is_open, stalled = unheard + 1, False, False
    return Played(sent, unheard, overrun, port.drain())


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
