"""An MQTT broker: each event a message with QoS 1, which the broker acknowledges.

    TOPIC/window, TOPIC/activity, ...   the event as JSON, by its type
    TOPIC/status                        "online", or "offline" when the run ended, however it did; retained

A message that was not acknowledged is sent again after the connection is back, so a subscriber may see an id twice.
Topics are named as ESPHome and Home Assistant do; MQTT 3.1.1, which every broker speaks.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from mmvq_bridge.command import BadInput
from mmvq_run.sinks.ids import Numbered

if TYPE_CHECKING:
    from paho.mqtt.client import Client

FORM: Final = "mqtt://[user:password@]host[:1883]/topic"
URL: Final = re.compile(
    r"(mqtts?)://(?:([^:/?#@]+)(?::([^/?#@]*))?@)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?/([^?#@]+)", re.IGNORECASE
)
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}  # as registered with IANA
LONGEST_TOPIC: Final = 60_000  # bytes; MQTT takes 65535, and a type is added
IN_FLIGHT: Final = 20  # messages without an acknowledgement: as many as a broker takes from a client by default
KEEP_ALIVE_S: Final = 30  # after half as long again without a word, the broker says "offline"
ANSWER_S: Final = 5.0  # how long a broker may be silent when it ought to answer
POLL_S: Final = 0.1


@dataclass(frozen=True)
class Address:
    """What a URL says of a broker."""

    scheme: str
    host: str
    port: int
    topic: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.topic}"


def parse_address(url: str) -> Address:
    """BadInput if it is not of FORM. The message does not repeat the URL: a password may be anywhere in it."""
    found = URL.fullmatch(url)
    if found is None:
        raise _no_address("not of the form")
    scheme, user, password, host, port, topic = (part and unquote(part) for part in found.groups())
    scheme, host, topic = scheme.lower(), host.strip("[]"), topic.strip("/")
    address = Address(scheme, host, int(port or PORTS[scheme]), topic, user, password)
    if not 0 < address.port < 65_536:
        raise _no_address("the port is not between 1 and 65535")
    if not topic or set(topic) & set("+#\0") or len(topic.encode()) > LONGEST_TOPIC:
        raise _no_address("the topic is empty, too long, or has one of + and #")
    try:
        host.encode("idna")
    except UnicodeError:
        raise _no_address("the host is no name of one") from None
    return address


def _no_address(why: str) -> BadInput:
    return BadInput(f"--sink mqtt: {why}; {FORM}, or mqtts://, and in a password %2F %3F %23 %40 %25 for / ? # @ %")


class Broker:
    """A store of messages at a broker; connected when there is something to do, and kept so."""

    def __init__(self, address: Address) -> None:
        """BadInput without paho-mqtt; a broker that cannot be reached is no error yet."""
        if find_spec("paho") is None:
            raise BadInput("--sink mqtt: needs the package paho-mqtt; pip install 'mmvq[mqtt]'")
        self.name = str(address)
        self._address = address
        self._status = f"{address.topic}/status"
        # The same name at each connection: a broker that still holds the last one open ends that, and says "offline",
        # before it takes the new one, which says "online".
        self._id = f"mmvq-{secrets.token_hex(8)}"
        self._client: Client | None = None

    def deliver(self, events: Sequence[Numbered]) -> int:
        """Publish as many as may be in flight, and wait until each is acknowledged."""
        events = events[:IN_FLIGHT]
        with self._connected() as client:
            sent = [client.publish(f"{self._address.topic}/{e.type}", e.line, qos=1) for e in events]
            _wait(client, lambda: sum(not message.is_published() for message in sent))
        return len(events)

    def idle(self) -> None:
        """Keep the connection alive, and notice when it is gone."""
        with self._connected() as client:
            _turn(client, 0.0)

    def close(self) -> None:
        """Say "offline" and part."""
        if self._client is not None:
            with self._connected() as client:
                self._say_status(client, "offline")
                client.disconnect()

    @contextmanager
    def _connected(self) -> Iterator["Client"]:
        """A connected client, which is dropped when something goes wrong: the broker then says "offline"."""
        try:
            client = self._client or self._connect()
            yield client
        except BaseException:
            if self._client is not None and (socket := self._client.socket()) is not None:
                socket.close()
            self._client = None
            raise

    def _connect(self) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        address = self._address
        client = Client(CallbackAPIVersion.VERSION2, self._id)
        client.connect_timeout = ANSWER_S
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.scheme == "mqtts":
            import ssl  # 8 ms and some memory, which a run without it need not spend

            client.tls_set_context(ssl.create_default_context())
        client.will_set(self._status, "offline", qos=1, retain=True)
        answers: list[Any] = []
        client.on_connect = lambda client, userdata, flags, answer, properties: answers.append(answer)
        self._client = client
        client.connect(address.host, address.port, KEEP_ALIVE_S)
        try:
            _wait(client, lambda: not answers)
        except ConnectionError:
            raise ConnectionError(f"refused, {answers[0]}" if answers else "closed by the other side") from None
        self._say_status(client, "online")
        return client

    def _say_status(self, client: "Client", status: str) -> None:
        sent = client.publish(self._status, status, qos=1, retain=True)
        _wait(client, lambda: not sent.is_published())


def _wait(client: "Client", left: Callable[[], int]) -> None:
    """Until nothing is left to be answered. OSError if the connection ends, or nothing moves for ANSWER_S."""
    before, deadline = left(), time.monotonic() + ANSWER_S
    while now := left():
        if now != before:
            before, deadline = now, time.monotonic() + ANSWER_S
        elif time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {ANSWER_S:g} s")
        _turn(client, POLL_S)


def _turn(client: "Client", wait_s: float) -> None:
    """Let the client read and write. OSError if the connection is gone."""
    from paho.mqtt.client import error_string

    result = client.loop(wait_s)
    if result:
        raise ConnectionError(error_string(result).rstrip("."))
