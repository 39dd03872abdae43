"""A wearable by Bluetooth as a source: the Nordic UART Service. All that is known of bleak is here.

    ble://NAME    NAME is the name that the device advertises, or its address (macOS gives it a UUID instead)

    6E400002-...  the device hears: COMMAND start, when it is connected, so that it says HELLO at once
    6E400003-...  the device speaks: protocol 1 frames or CSV lines, cut into notifications as the radio likes

bleak is asyncio and runs in a thread of its own, so that a notification gets its time when it comes, whatever the
reader is busy with.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from queue import Empty, Full, Queue
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import OP_START, Command, encode
from mmvq_bridge.stream.reconnect import keep_reading, retried
from mmvq_bridge.stream.records import Kind, Record, Tick, printable
from mmvq_bridge.stream.serial_port import READ_S
from mmvq_bridge.stream.stop import Stop

HEARS: Final = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
SPEAKS: Final = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"
SCAN_S: Final = 10.0  # thrifty devices advertise every few seconds, and not every advertisement is heard
CONNECT_S: Final = 15.0
CLOSE_S: Final = 5.0
MOST_WAITING: Final = 10_000  # notifications that were not read yet: minutes of samples, and 5 MB at the most
MOST_SEEN: Final = 12  # devices that are listed when NAME is not among them

Say = Callable[[str], None]
Result = TypeVar("Result")


def read_ble(url: str, reconnect_s: float, stop: Stop, say: Say) -> Iterator[Record | Tick]:
    """Records of the device that `url` names, until a wish to stop.

    BadInput if it cannot be found or connected at first; PortLost, after the last record, if it goes away and is not
    back within `reconnect_s` seconds.
    """
    name = unquote(url.partition("://")[2])
    if not name:
        raise BadInput(f"{url}: no name; say ble://NAME, with the name that the device advertises or its address")
    if find_spec("bleak") is None:
        raise BadInput(f"{url}: Bluetooth needs bleak; pip install 'mmvq[ble]'")
    with _asyncio_thread() as loop:
        link = _open(loop, url, name, stop, say)
        if link is None:
            return

        def attempt(left_s: float) -> _Link | None:
            try:
                return _do(loop, _Link(loop, url, say).connect(name, left_s), stop)
            except BadInput as error:  # not there yet, or just going away
                raise ConnectionError(str(error)) from None

        yield from keep_reading(url, link, lambda: retried(attempt, reconnect_s, stop), reconnect_s, stop, say)


class _Link:
    """A connection to the device that `url` names."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, say: Say) -> None:
        self._loop, self._url, self._say = loop, url, say
        self._arrived: Queue[tuple[int, bytes]] = Queue(MOST_WAITING)
        self._gone = threading.Event()
        self._overran = 0  # notifications that came while MOST_WAITING others waited

    async def connect(self, name: str, within_s: float) -> "_Link":
        """Find the device and connect. BadInput if there is none of that name, or no Bluetooth, or no UART."""
        from bleak import BleakClient, BleakScanner
        from bleak.exc import BleakBluetoothNotAvailableError, BleakError

        seen: dict[str, str] = {}

        def fits(device: Any, advertised: Any) -> bool:
            seen[device.address] = advertised.local_name or device.name or ""
            return name == seen[device.address] or name.lower() == device.address.lower()

        async with asyncio.timeout(within_s):
            try:
                device = await BleakScanner.find_device_by_filter(fits, timeout=min(SCAN_S, within_s))
            except (BleakError, OSError) as error:
                why = error.args[0] if isinstance(error, BleakBluetoothNotAvailableError) else error
                raise BadInput(f"{self._url}: no Bluetooth here ({why}); is there any, and is it on?") from None
            if device is None:
                raise BadInput(f"{self._url}: not found; {_listed(seen)}")
            self._client = BleakClient(device, lambda client: self._gone.set(), timeout=CONNECT_S)
            await self._client.connect()
        if not all(self._client.services.get_characteristic(uuid) for uuid in (HEARS, SPEAKS)):
            await self._client.disconnect()
            raise BadInput(f"{self._url}: it has no Nordic UART Service; is it the right device?")
        return self

    def read(self, stop: Stop) -> Iterator[Record | Tick]:
        """What comes, until a wish to stop. OSError when the device is gone."""
        _do(self._loop, self._start())
        while not stop.asked:
            is_gone = self._gone.is_set()  # looked at first: what came before it went is waiting then
            now = time.monotonic_ns()
            try:
                host_ns, data = self._arrived.get(timeout=READ_S)
            except Empty:
                if is_gone:
                    raise ConnectionError("it disconnected") from None
                yield Tick(now)
            else:
                yield Record(host_ns, Kind.BYTES, data)

    def close(self) -> None:
        """Part, if that is still to be done."""
        with suppress(OSError):
            _do(self._loop, asyncio.wait_for(self._client.disconnect(), CLOSE_S))
        if self._overran:
            self._say(f"{self._url}: {self._overran} notifications are lost, as this computer could not keep up")

    async def _start(self) -> None:
        await self._client.start_notify(SPEAKS, self._take)
        hears = self._client.services.get_characteristic(HEARS)
        acknowledged = hears is not None and "write" in hears.properties  # some devices take the other kind only
        await self._client.write_gatt_char(HEARS, encode(Command(OP_START, 0)), response=acknowledged)

    def _take(self, sender: Any, data: bytearray) -> None:
        try:
            self._arrived.put_nowait((time.monotonic_ns(), bytes(data)))
        except Full:
            self._overran += 1


def _open(loop: asyncio.AbstractEventLoop, url: str, name: str, stop: Stop, say: Say) -> _Link | None:
    try:
        return _do(loop, _Link(loop, url, say).connect(name, SCAN_S + CONNECT_S), stop)
    except OSError as error:
        raise BadInput(f"{url}: cannot be connected ({error}); is it near, and free of other connections?") from None


@contextmanager
def _asyncio_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread; what still runs in it at the end is cancelled."""
    ready: Queue[asyncio.AbstractEventLoop] = Queue()
    over = asyncio.Event()

    async def run() -> None:
        ready.put(asyncio.get_running_loop())
        await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="bluetooth", daemon=True)
    thread.start()
    loop = ready.get()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(CLOSE_S)


def _do(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result], stop: Stop | None = None) -> Result | None:
    """What comes of `work` in the loop's thread; None on a wish to stop. OSError for whatever goes wrong by radio."""
    from bleak.exc import BleakError

    future = asyncio.run_coroutine_threadsafe(work, loop)
    while not wait([future], READ_S).done:
        if stop is not None and stop.asked:
            future.cancel()
            return None
    try:
        return future.result()
    except TimeoutError:
        raise ConnectionError("no answer in time") from None
    except (BleakError, EOFError) as error:  # EOFError: the system's Bluetooth service went away
        raise ConnectionError(str(error) or type(error).__name__) from None


def _listed(seen: dict[str, str]) -> str:
    """Devices that were seen, those with names first."""
    named = sorted(seen.items(), key=lambda item: (not item[1], item[1], item[0]))
    shown = [printable(f"{name} ({address})" if name else address) for address, name in named[:MOST_SEEN]]
    more = f" and {len(seen) - MOST_SEEN} more" if len(seen) > MOST_SEEN else ""
    return f"seen: {', '.join(shown)}{more}" if seen else "no device seen at all; is it on, and near?"
