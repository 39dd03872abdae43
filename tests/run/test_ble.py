"""Bluetooth without a radio: a virtual device behind bleak's own seam, the backend of a platform.

Our source and bleak's BleakScanner and BleakClient run for real. The device speaks protocol 1 when it is told to start,
cuts what it says into notifications of 20 bytes, as the least radio does, and can go away and come back.
"""

import asyncio
import sys
import threading
import time

import bleak
import pytest
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError
from telling import until
from wearing import frames, hello, of, play, signal

from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import OP_START, Command, Decoder
from mmvq_bridge.stream.reconnect import PortLost
from mmvq_bridge.stream.records import Kind, Record, parse_opening
from mmvq_bridge.stream.stop import Stop
from mmvq_run import stream
from mmvq_run.sources import ble
from mmvq_run.sources.ble import HEARS, SPEAKS, read_ble

WALK = signal(("sitting", 14), ("walking", 16))
SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
ADDRESS = "AA:BB:CC:DD:EE:01"
NOTIFICATION = 20  # bytes: what every radio carries


class Device:
    """A wearable that is near. says: what it sends when it is told to start; heard: what it was told."""

    def __init__(self, name, address=ADDRESS, says=(), uart=True, takes="write-without-response"):
        self.name, self.address, self.says, self.uart, self.takes = name, address, list(says), uart, takes
        self.heard = []
        self.client = None  # the backend of whoever is connected
        self.refuses = None  # what a connection to it ends with

    def services(self):
        services = BleakGATTServiceCollection()
        service = BleakGATTService(None, 1, SERVICE if self.uart else "0000180f-0000-1000-8000-00805f9b34fb")
        services.add_service(service)
        for handle, uuid, does in ((2, HEARS, self.takes), (3, SPEAKS, "notify")) if self.uart else ():
            services.add_characteristic(
                BleakGATTCharacteristic(None, handle, uuid, [does], lambda: NOTIFICATION, service)
            )
        return services

    def send(self, *pieces):
        """Notify, from any thread."""
        client = self.client
        for piece in pieces:
            for at in range(0, len(piece), NOTIFICATION):
                client.loop.call_soon_threadsafe(client.notify, bytearray(piece[at : at + NOTIFICATION]))

    def go_away(self):
        self.client.loop.call_soon_threadsafe(self.client.drop)


class Air:
    """Who is near, and what is wrong with the radio of this computer."""

    def __init__(self):
        self.devices = []
        self.error = None
        self.scans = 0


@pytest.fixture
def air(monkeypatch):
    air = Air()

    class Scanner(BaseBleakScanner):
        def __init__(self, detection_callback, service_uuids, scanning_mode, **kwargs):
            super().__init__(detection_callback, service_uuids)

        async def start(self):
            air.scans += 1
            if air.error:
                raise air.error
            self._task = asyncio.create_task(self._advertise())

        async def _advertise(self):
            while True:
                for device in air.devices:
                    said = AdvertisementData(device.name, {}, {}, [SERVICE], None, -50, ())
                    seen = self.create_or_update_device(device.address, device.address, device.name, device, said)
                    self.call_detection_callbacks(seen, said)
                await asyncio.sleep(0.01)

        async def stop(self):
            self._task.cancel()

    class Client(BaseBleakClient):
        mtu_size = NOTIFICATION + 3

        def __init__(self, device, **kwargs):
            super().__init__(device, **kwargs)
            self.device = device.details
            self.callback = None

        async def connect(self, pair, **kwargs):
            if self.device.refuses:
                raise self.device.refuses
            self.loop = asyncio.get_running_loop()
            self.services = self.device.services()
            self.device.client = self

        async def disconnect(self):
            self.drop()

        def drop(self):
            if self.device.client is self:
                self.device.client = None
                self._disconnected_callback()

        @property
        def is_connected(self):
            return self.device.client is self

        def notify(self, data):
            if self.is_connected:
                self.callback(data)

        async def start_notify(self, characteristic, callback, **kwargs):
            assert characteristic.uuid == SPEAKS
            self.callback = callback

        async def write_gatt_char(self, characteristic, data, response):
            assert characteristic.uuid == HEARS and response == (self.device.takes == "write")
            frames = Decoder().feed(bytes(data))
            self.device.heard += frames
            if Command(OP_START, 0) in frames:
                self.device.send(*self.device.says)

        async def stop_notify(self, characteristic): ...
        async def pair(self, *args, **kwargs): ...
        async def unpair(self): ...
        async def read_gatt_char(self, characteristic, **kwargs): ...
        async def read_gatt_descriptor(self, descriptor, **kwargs): ...
        async def write_gatt_descriptor(self, descriptor, data): ...

    monkeypatch.setattr(bleak, "get_platform_scanner_backend_type", lambda: (Scanner, "virtual"))
    monkeypatch.setattr(bleak, "get_platform_client_backend_type", lambda: (Client, "virtual"))
    monkeypatch.setattr(ble, "SCAN_S", 0.2)
    monkeypatch.setattr(ble, "CONNECT_S", 0.3)
    yield air
    until(lambda: not [t for t in threading.enumerate() if t.name == "bluetooth"], "its thread goes on")


class Reading:
    """What a source gives, gathered in a thread until it ends."""

    def __init__(self, url="ble://wrist", reconnect_s=0.0):
        self.stop, self.said, self.items, self.error = Stop(), [], [], None
        self._source = read_ble(url, reconnect_s, self.stop, self.said.append)
        self._thread = threading.Thread(target=self._gather)
        self._thread.start()

    def _gather(self):
        try:
            self.items.extend(self._source)
        except (BadInput, PortLost) as error:
            self.error = error

    @property
    def records(self):
        return [item for item in self.items if isinstance(item, Record)]

    @property
    def bytes(self):
        return b"".join(record.payload for record in self.records if record.kind == Kind.BYTES)

    def wait(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self

    def end(self):
        self.stop.asked = True
        return self.wait()


def refused(url="ble://wrist"):
    with pytest.raises(BadInput) as refused:
        next(read_ble(url, 1.0, Stop(), print))
    message = str(refused.value)
    assert message.startswith(f"{url}: ") and message.isprintable()
    return message


def test_what_a_device_says_becomes_records_until_a_wish_to_stop(air):
    says = [hello(), *frames(WALK)]
    device = Device("wrist", says=says)
    air.devices = [Device("other", "AA:BB:CC:DD:EE:02"), device]
    before = time.monotonic_ns()
    reading = Reading()
    until(lambda: len(reading.bytes) == sum(map(len, says)), "not everything came")
    reading.end()
    records = reading.records
    assert device.heard == [Command(OP_START, 0)]
    assert reading.bytes == b"".join(says)
    assert (records[0].kind, records[-1].kind, records[-1].payload) == (Kind.OPENED, Kind.CLOSED, b"end")
    assert parse_opening(records[0].payload).source == "ble://wrist"
    times = [before, *(item.host_ns for item in reading.items), time.monotonic_ns()]
    assert times == sorted(times)
    assert device.client is None  # parted


@pytest.mark.parametrize("name", [ADDRESS, ADDRESS.lower(), "left%20wrist", "left wrist"])
def test_a_device_is_known_by_its_name_and_by_its_address(air, name):
    air.devices = [Device("left wrist", takes="write")]
    source = read_ble(f"ble://{name}", 0.0, Stop(), print)
    assert next(source).kind == Kind.OPENED
    source.close()
    assert air.devices[0].client is None


def test_live_events_are_those_of_a_replay_of_its_records(air, model):
    says = b"".join([hello(), *frames(WALK)])
    air.devices = [Device("wrist", says=[says])]
    stop, kept = Stop(), []

    def recorded():
        for item in read_ble("ble://wrist", 0.0, stop, print):
            if isinstance(item, Record):
                kept.append(item)
                stop.asked = sum(len(r.payload) for r in kept if r.kind == Kind.BYTES) == len(says)
            yield item

    events = list(stream(recorded(), model, stop=stop))
    assert len(of(events, "window")) == 21 and events[-1]["bad_frames"] == 0
    assert play(model, kept) == events


def test_silence_is_told_by_ticks_and_a_notification_has_the_time_at_which_it_came(air):
    air.devices = [Device("wrist")]
    source = read_ble("ble://wrist", 0.0, Stop(), print)
    assert next(source).kind == Kind.OPENED
    first, second = next(source), next(source)
    assert not isinstance(first, Record) and second.host_ns > first.host_ns
    sent = time.monotonic_ns()
    air.devices[0].send(b"late")
    time.sleep(0.5)  # the reader is busy with something else
    looked = time.monotonic_ns()
    came = next(item for item in source if isinstance(item, Record))
    assert came.payload == b"late" and sent < came.host_ns < looked
    source.close()


def test_a_device_that_comes_back_goes_on_and_is_told_to_start_again(air):
    device = Device("wrist", says=[hello()])
    air.devices = [device]
    reading = Reading(reconnect_s=20)
    until(lambda: reading.bytes == hello(), "it says nothing")
    device.send(b"the last words")
    device.go_away()
    air.devices = []
    until(lambda: any("lost (it disconnected); waiting up to 20 s" in line for line in reading.said), "nobody noticed")
    until(lambda: air.scans > 1, "nobody looks for it")
    device.refuses = BleakError("it went again")
    air.devices = [device]
    scans = air.scans
    until(lambda: air.scans > scans + 1, "nobody tries again")
    device.refuses = None
    until(lambda: len(device.heard) == 2, "it is not told to start")
    until(lambda: reading.bytes.endswith(hello()), "it says nothing again")
    reading.end()
    kinds = [(r.kind, r.payload) for r in reading.records if r.kind == Kind.CLOSED]
    assert kinds == [(Kind.CLOSED, b"lost"), (Kind.CLOSED, b"end")]
    assert reading.bytes == hello() + b"the last words" + hello()
    assert reading.said[-1] == "ble://wrist: back again"


@pytest.mark.parametrize(
    ("reconnect_s", "match"), [(0.0, "it went away;"), (0.4, "it went away and not back within 0.4 s;")]
)
def test_a_device_that_stays_away_is_lost_after_its_last_record(air, reconnect_s, match):
    device = Device("wrist", says=[hello(), *frames(WALK)])
    air.devices = [device]
    reading = Reading(reconnect_s=reconnect_s)
    until(lambda: device.heard, "it is not told to start")
    air.devices = []
    device.go_away()
    reading.wait()
    assert isinstance(reading.error, PortLost) and match in str(reading.error)
    assert reading.records[-1].payload == b"lost" and reading.bytes.startswith(hello())


def test_a_device_that_goes_before_it_can_be_told_to_start_is_lost(air):
    device = Device("wrist")
    air.devices = [device]
    source = read_ble("ble://wrist", 0.0, Stop(), print)
    next(source)
    device.go_away()
    until(lambda: device.client is None, "it is still there")
    assert next(source).payload == b"lost"
    with pytest.raises(PortLost):
        next(source)


def test_a_wish_to_stop_ends_the_search_for_a_device(air, monkeypatch):
    monkeypatch.setattr(ble, "SCAN_S", 600.0)
    reading = Reading()
    until(lambda: air.scans, "nobody looks for it")
    reading.end()
    assert (reading.items, reading.error) == ([], None)


def test_a_wish_to_stop_ends_the_waiting_for_a_device(air):
    air.devices = [Device("wrist")]
    reading = Reading(reconnect_s=600)
    until(lambda: air.devices[0].heard, "it is not told to start")
    gone, air.devices = air.devices[0], []
    gone.go_away()
    until(lambda: reading.said, "nobody noticed")
    reading.end()
    assert reading.error is None and reading.records[-1].payload == b"lost"


def test_notifications_beyond_the_bound_are_dropped_and_counted(air, monkeypatch):
    monkeypatch.setattr(ble, "MOST_WAITING", 5)
    air.devices = [Device("wrist", says=[b"x" * 20] * 12)]
    said = []
    source = read_ble("ble://wrist", 0.0, Stop(), said.append)
    next(source)
    next(source)
    time.sleep(0.2)
    source.close()
    assert len(said) == 1 and " notifications are lost, as this computer could not keep up" in said[0]


def test_without_the_device_those_that_were_seen_are_listed(air):
    assert refused() == "ble://wrist: not found; no device seen at all; is it on, and near?"
    air.devices = [Device("watch\x1b[2J", "AA:BB:CC:DD:EE:03"), Device(None, "AA:BB:CC:DD:EE:02"), Device("tv")]
    seen = f"seen: tv ({ADDRESS}), watch?[2J (AA:BB:CC:DD:EE:03), AA:BB:CC:DD:EE:02"
    assert refused() == f"ble://wrist: not found; {seen}"
    air.devices = [Device(f"d{i:02}", f"AA:BB:CC:DD:00:{i:02}") for i in range(30)]
    assert refused().endswith("d11 (AA:BB:CC:DD:00:11) and 18 more")


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (
            BleakBluetoothNotAvailableError("switched off", BleakBluetoothNotAvailableReason.POWERED_OFF),
            "no Bluetooth here (switched off)",
        ),
        (FileNotFoundError(2, "No such file or directory"), "no Bluetooth here ([Errno 2] No such file or directory)"),
        (BleakError("no adapter"), "no Bluetooth here (no adapter)"),
        (EOFError(), "cannot be connected (EOFError)"),
    ],
)
def test_a_computer_without_bluetooth_is_said_to_be(air, error, match):
    air.error = error
    assert match in refused()


def test_a_device_that_cannot_be_connected_is_refused(air):
    air.devices = [Device("wrist")]
    air.devices[0].refuses = BleakError("failed to discover services, device disconnected")
    assert "cannot be connected (failed to discover services, device disconnected)" in refused()
    air.devices[0].refuses = TimeoutError()
    assert "cannot be connected (no answer in time)" in refused()


def test_a_device_without_the_uart_service_is_refused(air):
    air.devices = [Device("wrist", uart=False)]
    assert "it has no Nordic UART Service" in refused()
    assert air.devices[0].client is None


@pytest.mark.parametrize("url", ["ble://", "ble:", "ble:wrist"])
def test_a_url_without_a_name_is_refused(url):
    assert "no name; say ble://NAME" in refused(url)


def test_without_bleak_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bleak", None)
    assert "Bluetooth needs bleak; pip install 'mmvq[ble]'" in refused()
