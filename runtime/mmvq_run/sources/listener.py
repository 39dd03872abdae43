"""Wearables that come by TCP (DESIGN 3.7): a token line first, then protocol frames, or CSV lines.

    connected ─► token line ─► HELLO, or whatever comes ─► streaming ─► closed: lost, and waited for

A wearable is known by the uid of its HELLO, so that it may come back by another connection and go on; one that prints
CSV lines by its address. A second connection of the same wearable takes the place of the first, which is dead then (a
radio that went away closes nothing). One thread serves all.
"""

import hmac
import secrets
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import OP_START, Command, Decoder, Hello, encode
from mmvq_bridge.stream.records import END, LOST, Kind, Opening, Record, Tick, opened, wall_now
from mmvq_bridge.stream.stop import Stop
from mmvq_run.many import Ended, Feed, Put

LOOPBACK: Final = "127.0.0.1"
LONGEST_TOKEN: Final = 256  # characters of its line
TOKEN_BYTES: Final = 16  # of one that is made here: beyond guessing
TOKEN_S: Final = 5.0  # for a token to come
HELLO_S: Final = 6.0  # a wearable says HELLO every 5 s at the least
HELLO_BYTES: Final = 8192  # of somebody who never says it
READ: Final = 4096  # bytes of one wearable in its turn: nobody keeps the others waiting
MOST: Final = 1000  # connections; a process may hold 1024 files
POLL_S: Final = 0.1
TICK_NS: Final = 1_000_000_000  # without bytes, from which on the time is told

Say = Callable[[str], None]


def read_token(path: str) -> str:
    """The token that a file holds, in hex. BadInput if it holds none."""
    try:
        token = Path(path).read_text(encoding="ascii").strip().lower()
        if not 0 < len(token) <= LONGEST_TOKEN:
            raise ValueError
        bytes.fromhex(token)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give a file with a token with --token") from None
    except ValueError:
        raise BadInput(f"{path}: no token; it holds hex digits, such as {secrets.token_hex(4)}") from None
    return token


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_hex(TOKEN_BYTES)


def listen(address: str, token: str, reconnect_s: float, stop: Stop, say: Say) -> Feed:
    """The feed of all wearables that come to `address`, [HOST:]PORT, until a wish to stop.

    HOST is this computer alone by default. A wearable that went away is waited for `reconnect_s` seconds. BadInput if
    nobody can listen there.
    """
    host, _, number = address.rpartition(":")
    host = host.strip("[]") or LOOPBACK
    if not number.isdecimal() or not int(number) < 65_536:
        raise BadInput(f"--listen {address!r} is no [HOST:]PORT, such as 7000")
    try:
        server = socket.create_server((host, int(number)), family=_family(host), backlog=MOST)
    except OSError as error:
        raise BadInput(f"--listen {address}: {error.strerror or error}; choose another port or host") from None
    host, port = server.getsockname()[:2]
    beyond = "" if ip_address(host).is_loopback else ", for other computers too; nothing on this line is encrypted"
    say(f"listening on {host}:{port}{beyond}")
    return _Listener(server, token, reconnect_s, stop, say).feed


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@dataclass(eq=False)
class _Visitor:
    """A connection. device: empty until it is known who that is; came: monotonic seconds."""

    line: socket.socket
    peer: str
    came: float
    token_fits: bool = False
    device: str = ""
    buffer: bytes = b""


class _Listener:
    def __init__(self, server: socket.socket, token: str, reconnect_s: float, stop: Stop, say: Say) -> None:
        self._server = server
        self._token = token.encode()
        self._reconnect_s = reconnect_s
        self._stop = stop
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._visitors: set[_Visitor] = set()
        self._here: dict[str, _Visitor] = {}  # by device
        self._heard_ns: dict[str, int] = {}  # by device that is here
        self._away: dict[str, float] = {}  # device: monotonic seconds until which it is waited for

    def feed(self, put: Put) -> None:
        """Serve until a wish to stop."""
        self._put = put
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ)
        try:
            while not self._stop.asked:
                for key, _ in self._selector.select(POLL_S):
                    if key.data is None:
                        self._accept()
                    elif key.data in self._visitors:  # another one's reading may have closed it
                        self._read(key.data)
                self._look_round()
        finally:
            for visitor in list(self._visitors):
                self._close(visitor, END)
            for device in self._away:
                put(device, Ended())
            self._server.close()
            self._selector.close()

    def _accept(self) -> None:
        try:
            line, peer = self._server.accept()
        except OSError:
            return  # gone again
        if len(self._visitors) >= MOST:
            self._say(f"{peer[0]}:{peer[1]}: over {MOST} connections; turned away")
            line.close()
            return
        line.setblocking(False)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        visitor = _Visitor(line, f"{peer[0]}:{peer[1]}", time.monotonic())
        self._visitors.add(visitor)
        self._selector.register(line, selectors.EVENT_READ, visitor)

    def _read(self, visitor: _Visitor) -> None:
        try:
            data = visitor.line.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(visitor, LOST)
        elif visitor.device:
            self._pass_on(visitor, data)
        else:
            visitor.buffer += data
            if not visitor.token_fits:
                self._check_token(visitor)
            if visitor.token_fits:
                self._get_to_know(visitor)

    def _check_token(self, visitor: _Visitor) -> None:
        line, end, rest = visitor.buffer.partition(b"\n")
        if not end and len(line) <= LONGEST_TOKEN:
            return
        if not end or not hmac.compare_digest(line.strip().lower(), self._token):
            self._say(f"{visitor.peer}: its first line is not the token; turned away")
            self._close(visitor, LOST)
            return
        visitor.token_fits, visitor.buffer = True, rest
        with suppress(OSError):
            visitor.line.send(encode(Command(OP_START, 0)))  # so that it says HELLO at once

    def _get_to_know(self, visitor: _Visitor) -> None:
        """Who is it? Its HELLO says; of one that says none for long, its address must do."""
        said = [frame for frame in Decoder().feed(visitor.buffer) if isinstance(frame, Hello)]
        waited = time.monotonic() - visitor.came > HELLO_S or len(visitor.buffer) > HELLO_BYTES
        if not said and not waited:
            return
        device = f"{said[0].device_uid:016x}" if said else visitor.peer
        if device in self._here:
            self._close(self._here[device], LOST)
        visitor.device = device
        self._away.pop(device, None)
        self._here[device] = visitor
        self._put(device, opened(time.monotonic_ns(), Opening(f"tcp {visitor.peer}", wall_now())))
        data, visitor.buffer = visitor.buffer, b""
        self._pass_on(visitor, data)

    def _pass_on(self, visitor: _Visitor, data: bytes) -> None:
        now = time.monotonic_ns()
        self._heard_ns[visitor.device] = now
        self._put(visitor.device, Record(now, Kind.BYTES, data))

    def _close(self, visitor: _Visitor, why: bytes) -> None:
        self._visitors.discard(visitor)
        self._selector.unregister(visitor.line)
        visitor.line.close()
        if not visitor.device:
            return
        del self._here[visitor.device], self._heard_ns[visitor.device]
        self._put(visitor.device, Record(time.monotonic_ns(), Kind.CLOSED, why))
        self._away[visitor.device] = time.monotonic() + self._reconnect_s

    def _look_round(self) -> None:
        """What time alone brings: visitors that say nothing, wearables that stay away, and silence."""
        now, now_ns = time.monotonic(), time.monotonic_ns()
        for visitor in [visitor for visitor in self._visitors if not visitor.device]:
            if visitor.token_fits:
                if visitor.buffer:
                    self._get_to_know(visitor)
            elif now - visitor.came > TOKEN_S:
                self._say(f"{visitor.peer}: no token within {TOKEN_S:g} s; turned away")
                self._close(visitor, LOST)
        for device in [device for device, until in self._away.items() if now > until]:
            del self._away[device]
            self._put(device, Ended())
        for device, heard_ns in self._heard_ns.items():
            if now_ns - heard_ns > TICK_NS:
                self._put(device, Tick(now_ns))
