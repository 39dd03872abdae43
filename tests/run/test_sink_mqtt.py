"""The MQTT sink with a real broker that comes and goes, and a real subscriber."""

import datetime
import json
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from telling import SESSION, gap, ids_of, run_of, told_until_killed, until

from mmvq_bridge.command import BadInput
from mmvq_run.sinks import kept
from mmvq_run.sinks.mqtt import parse_address
from mmvq_run.sinks.where import open_sink

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)")


class Mosquitto:
    """A broker on a free port of this machine, which remembers its subscribers over a stop."""

    def __init__(self, at, *more):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        at.mkdir()
        self.config = at / "mosquitto.conf"
        own = ("user root", "persistence true", f"persistence_location {at}/", f"listener {self.port} 127.0.0.1")
        self.config.write_text("\n".join([*own, *more]) + "\n")
        self.process = None

    def start(self):
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        until(self.listens, "mosquitto does not listen")

    def listens(self):
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@pytest.fixture
def broker(tmp_path):
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous true")
    yield broker
    broker.stop()


@contextmanager
def subscribed(port, **login):
    """(topic, payload, retained) of all messages as they come; asks for them with every new connection."""
    got, ready = [], []
    client = Client(CallbackAPIVersion.VERSION2, "subscriber", clean_session=False)
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda client, *_: client.subscribe("home/#", qos=1)
    client.on_subscribe = lambda *_: ready.append(True)
    client.on_message = lambda client, _, message: got.append((message.topic, message.payload, message.retain))
    if login:
        client.username_pw_set(**login)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        until(lambda: ready, "no subscription")
        yield got
    finally:
        client.disconnect()
        client.loop_stop()


def events_in(got):
    return [json.loads(payload) for topic, payload, _ in got if topic != "home/wrist/status"]


def ids_in(got):
    return [event["id"] for event in events_in(got)]


def statuses_in(got):
    return [payload.decode() for topic, payload, _ in got if topic == "home/wrist/status"]


@needs_broker
def test_events_come_by_their_type_with_ids_and_a_status_around_them(broker):
    broker.start()
    said = []
    with subscribed(broker.port) as got:
        with open_sink(f"mqtt://127.0.0.1:{broker.port}/home/wrist/", said.append) as sink:
            for event in run_of(100):
                sink.write(event)
        until(lambda: len(got) == 103, "something is missing")
    assert [topic for topic, _, _ in got[:3]] == ["home/wrist/status", "home/wrist/session", "home/wrist/gap"]
    assert ids_in(got) == ids_of(run_of(100))
    assert events_in(got)[0] == {"id": ids_of([SESSION])[0], **SESSION}
    assert statuses_in(got) == ["online", "offline"]
    assert said == []
    with subscribed(broker.port) as later:
        until(lambda: later, "nothing is retained")
    assert later == [("home/wrist/status", b"offline", True)]


@needs_broker
def test_a_broker_that_goes_away_in_mid_stream_gets_every_event_when_it_is_back(broker):
    broker.start()
    said = []
    with subscribed(broker.port) as got:
        with open_sink(f"mqtt://127.0.0.1:{broker.port}/home/wrist", said.append) as sink:
            for event in run_of(100):
                sink.write(event)
                if event["t"] == 50:
                    until(lambda: ids_in(got), "nothing comes")
                if event["t"] == 60:
                    broker.stop()  # with messages on their way
            until(lambda: said, "nobody says that the broker is away")
            for n in range(100, 150):
                sink.write(gap(n))
            broker.start()
            until(lambda: len(said) == 2, "nobody says that the broker is back")
            sink.write(gap(150))
        until(lambda: set(ids_in(got)) == set(ids_of(run_of(151))), "an event never came")
        until(lambda: statuses_in(got)[-1] == "offline", "not offline at the end")
    assert "events wait" in said[0]
    assert said[1] == f"mqtt://127.0.0.1:{broker.port}/home/wrist: well again, no event was lost"


@needs_broker
def test_a_broker_that_is_not_there_at_first_is_said_and_waited_for(broker):
    said = []
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/home/wrist", said.append) as sink:
        until(lambda: said, "nobody says that there is no broker")
        sink.write(SESSION)
        broker.start()
        until(lambda: len(said) == 2, "nobody says that there is one now")
    assert "Connection refused; events wait, 16 MB of them at most" in said[0]
    assert said[1].endswith("well again, no event was lost")
    assert len(said) == 2  # none was left over at the end


def test_a_broker_that_never_comes_costs_a_bounded_wait_and_is_said_at_the_end(monkeypatch, tmp_path):
    monkeypatch.setattr(kept, "CLOSE_S", 0.3)
    said = []
    with open_sink(f"mqtt://127.0.0.1:{Mosquitto(tmp_path / 'never').port}/home", said.append) as sink:
        for event in run_of(4):
            sink.write(event)
    assert len(said) == 2
    assert said[1].endswith("/home: 5 events were not delivered")


@needs_broker
def test_a_broker_that_restarts_between_events_is_told_again_that_we_are_online(broker):
    broker.start()
    said = []
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/home/wrist", said.append):
        with subscribed(broker.port) as got:
            until(lambda: statuses_in(got) == ["online"], "not online")
        broker.stop()
        until(lambda: said, "nobody notices")
        (broker.config.parent / "mosquitto.db").unlink()  # and forgets what it retained
        broker.start()
        with subscribed(broker.port) as got:
            until(lambda: statuses_in(got) == ["online"], "not online again")


@needs_broker
def test_a_killed_run_goes_offline_and_all_but_its_last_second_is_delivered(broker):
    broker.start()
    where = f"mqtt://127.0.0.1:{broker.port}/home/wrist"
    with subscribed(broker.port) as got:
        told = told_until_killed(where)
        until(lambda: statuses_in(got) == ["online", "offline"], "the last will is not there")
    with subscribed(broker.port) as later:
        until(lambda: later, "it is not retained")
    assert later == [("home/wrist/status", b"offline", True)]
    old = sum(ago > 1 for _, ago in told)
    assert old > 20
    assert [event["lost"] for event in events_in(got)][:old] == list(range(old))


@needs_broker
def test_a_broker_that_refuses_is_quoted_without_the_password(tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_text("wrist:sesame/@?#%\n")
    subprocess.run([shutil.which("mosquitto_passwd") or "mosquitto_passwd", "-U", passwords], check=True)
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}")
    broker.start()
    said = []
    try:
        with open_sink(f"mqtt://wrist:secret@127.0.0.1:{broker.port}/home/wrist", said.append):
            until(lambda: said, "nobody says that we may not")
        assert said[0].startswith(f"mqtt://127.0.0.1:{broker.port}/home/wrist: refused, Not authorized; events wait")
        assert "secret" not in "".join(said)
        said.clear()
        where = f"mqtt://wrist:sesame%2F%40%3F%23%25@127.0.0.1:{broker.port}/home/wrist"
        with subscribed(broker.port, username="wrist", password="sesame/@?#%") as got:
            with open_sink(where, said.append) as sink:
                sink.write(SESSION)
            until(lambda: ids_in(got) == ids_of([SESSION]), "the event did not come")
        assert said == []
    finally:
        broker.stop()


def certificate(at):
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, own = at / "broker.pem", at / "broker.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    own.write_bytes(key.private_bytes(*form))
    return pem, own


# After a handshake that failed, paho leaves the socket to the garbage collector: closed, but with a ResourceWarning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@needs_broker
def test_tls_delivers_to_a_broker_that_is_known_and_to_no_other(tmp_path, monkeypatch):
    pem, key = certificate(tmp_path)
    broker = Mosquitto(tmp_path / "broker", f"certfile {pem}", f"keyfile {key}", "allow_anonymous true")
    broker.start()
    where = f"mqtts://127.0.0.1:{broker.port}/home/wrist"
    said = []
    try:
        with open_sink(where, said.append):
            until(lambda: said, "a stranger is trusted")
        assert "certificate verify failed" in said[0].lower()
        said.clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        with open_sink(where, said.append) as sink:
            for event in run_of(50):
                sink.write(event)
        assert said == []
    finally:
        broker.stop()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mqtt:home", "not of the form; mqtt://.user:password@.host"),
        ("mqtt://", "not of the form"),
        ("mqtt://host", "not of the form"),
        ("mqtt://host/", "not of the form"),
        ("mqtt:///home", "not of the form"),
        ("mqtt://ho st/home", "not of the form"),
        ("mqtt://[::1/home", "not of the form"),
        ("mqtt://host:port/home", "not of the form"),
        ("mqtt://host/home?qos=2", "not of the form"),
        ("mqtt://host:0/home", "the port is not"),
        ("mqtt://host:99999/home", "the port is not"),
        ("mqtt://host//", "the topic is empty"),
        ("mqtt://host/home/%23", "the topic is empty"),
        ("mqtt://host/home/+/wrist", "the topic is empty"),
        (f"mqtt://{'h' * 64}/home", "the host is no name"),
        ("mqtt://user:secret/@host/home", "in a password %2F"),
        ("mqtt://user:secret#@host/home", "in a password %2F"),
        ("mqtt://user:1secret?@host/home", "in a password %2F"),
        ("mqtt://user:1883/secret@host/home", "in a password %2F"),
        ("mqtt://user:secret@host:99999/home", "the port is not"),
        ("mqtt://:secret@host/home", "not of the form"),
    ],
)
def test_what_is_no_address_is_refused_and_never_repeated(url, message):
    with pytest.raises(BadInput, match=message) as refused, open_sink(url, print):
        pass
    assert "secret" not in str(refused.value)


def test_an_address_is_told_without_user_and_password():
    address = parse_address("mqtts://user%40home:p%2Fw@[::1]/home/wrist")
    assert (address.user, address.password, address.port) == ("user@home", "p/w", 8883)
    assert str(address) == "mqtts://[::1]:8883/home/wrist"
    assert "p/w" not in repr(address)


def test_without_paho_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho", None)
    with pytest.raises(BadInput, match=r"pip install 'mmvq\[mqtt\]'"), open_sink("mqtt://host/home", print):
        pass
