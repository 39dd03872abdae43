"""The synthetic wearable as a source, and what the runtime makes of its faults."""

import time
from itertools import islice

import numpy as np
import pytest
from wearing import SECOND, capture, of, play

from mmvq_bridge.command import BadInput
from mmvq_bridge.faults import Connection, FaultyLine, Heard, faulty_device, hear, parse_faults
from mmvq_bridge.frames import Ack, Data, Decoder, Hello
from mmvq_bridge.stream.reconnect import PortLost
from mmvq_bridge.stream.records import Kind, parse_opening
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.stream.timed import Missing, Samples
from mmvq_bridge.stream.wire import WireDecoder
from mmvq_run.sources.synthetic import heard, open_synthetic


def said(url, speed=None, stop=None):
    """All records of a URL, at full speed."""
    return list(open_synthetic(url, stop or Stop(), lambda line: None, speed))


def counted(records):
    """Samples that were heard, those that were missed, and the place of the last one heard, by its time at 100 Hz."""
    wire, items = None, []
    for record in records:
        if record.kind == Kind.OPENED and wire is None:
            wire = WireDecoder("auto", arrival=True)
        elif record.kind == Kind.OPENED:
            wire.reopen()
        elif record.kind == Kind.BYTES:
            items += wire.feed(record.payload, record.host_ns)
    samples = [item for item in items if isinstance(item, Samples)]
    missing = sum(item.count for item in items if isinstance(item, Missing))
    return sum(len(item.t) for item in samples), missing, round(samples[-1].t[-1] * 100) + 1


def test_a_url_is_a_device_whose_samples_all_arrive():
    records = said("synthetic://?seconds=30&seed=7")
    assert parse_opening(records[0].payload).source == "synthetic://?seconds=30&seed=7"
    first = Decoder().feed(b"".join(record.payload for record in records[1:4]))
    assert [type(frame) for frame in first] == [Ack, Hello, Hello]  # the host asks for the first one
    assert first[1].boot_id == 7 and first[1].rate_mhz == 100_000
    assert (records[-1].kind, records[-1].payload) == (Kind.CLOSED, b"end")
    assert counted(records) == (3000, 0, 3000)


def test_the_same_url_gives_the_same_capture_and_another_seed_another_one():
    url = "synthetic://?rate=50&seconds=40&fault=drop:0.1&fault=jitter=30&fault=unplug:10&fault=replug:2&seed="
    assert capture(said(url + "1")) == capture(said(url + "1"))
    assert capture(said(url + "1"))[100:] != capture(said(url + "2"))[100:]


@pytest.mark.parametrize(
    "fault",
    [
        "drop:0.05", "corrupt:0.05", "bytes:0.0005", "reorder:0.05", "jitter:500", "drift:500", "drift:-20000",
        "clock:4280", "reset:12.25", "unplug:7&fault=replug:2.5", "drop:.2&fault=bytes:.001&fault=reorder:.2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_heard_and_what_is_missed_add_up_to_what_was_worn(fault, seed):
    got, missed, worn = counted(said(f"synthetic://?seconds=40&seed={seed}&fault={fault}"))
    assert got + missed == worn
    assert 3900 < worn <= 4000
    assert (missed > 0) == any(kind in fault for kind in ("drop", "corrupt", "bytes", "reorder", "unplug", "reset"))


def test_drift_makes_bytes_come_sooner_by_as_much_as_the_clock_is_fast():
    plain, fast = said("synthetic://?seconds=60"), said("synthetic://?seconds=60&fault=drift:1000")
    assert [record.payload for record in fast[1:]] == [record.payload for record in plain[1:]]
    np.testing.assert_allclose([r.host_ns * 1.001 for r in fast], [r.host_ns for r in plain], atol=2)


def test_a_device_that_is_plugged_in_again_is_a_port_that_opens_again():
    records = said("synthetic://?seconds=31&fault=unplug:10&fault=replug:5")
    marks = [(record.kind.name, record.host_ns / SECOND) for record in records if record.kind != Kind.BYTES]
    assert marks == [
        ("OPENED", 0.0), ("CLOSED", 10.0), ("OPENED", 15.0), ("CLOSED", 25.0), ("OPENED", 30.0),
        ("CLOSED", pytest.approx(30.99)),
    ]  # fmt: skip


def test_unplugged_for_good_is_a_lost_port_after_the_last_record():
    source = open_synthetic("synthetic://?fault=unplug:10", Stop(), lambda line: None, None)
    records = []
    with pytest.raises(PortLost, match="unplugged for good"):
        for record in source:
            records.append(record)
    assert (records[-1].kind, records[-1].payload) == (Kind.CLOSED, b"lost")


def test_without_seconds_it_goes_on_for_ever_and_a_wish_to_stop_ends_it():
    stop = Stop()
    source = open_synthetic("synthetic://", stop, lambda line: None, None)
    hour = [record.host_ns for record in islice(source, 40_000)]
    assert hour[-1] > 3600 * SECOND
    stop.asked = True
    assert list(source) == []


def test_at_a_given_speed_records_come_when_they_are_due():
    """A second at twice the speed, and its times are those at true speed."""
    start_ns = time.monotonic_ns()
    records = []
    for record in open_synthetic("synthetic://?seconds=1", Stop(), lambda line: None, 2.0):
        records.append(record)
        assert record.host_ns >= start_ns
        assert time.monotonic_ns() - start_ns >= (record.host_ns - records[0].host_ns) / 2
    assert records[-1].host_ns - records[0].host_ns == pytest.approx(0.99 * SECOND, abs=10)
    assert parse_opening(records[0].payload).wall is not None


def test_it_says_that_labels_of_it_mean_nothing():
    lines = []
    open_synthetic("synthetic://", Stop(), lines.append, None)
    assert lines == ["synthetic://: a synthetic wearable; labels of its movement mean nothing"]


def test_any_device_can_be_heard_in_the_same_way(model):
    """Ten minutes that the tiny model must tell, on a bad line: labels hold between the gaps, and all gaps are told."""
    rng = np.random.default_rng(0)
    strength = np.repeat([0.01, 0.3, 1.2], 20 * 200)[:, None]
    xyz = rng.normal(0, 1, (12_000, 3)) * strength + np.array([0, 0, 1])
    words = ["drop=.003", "bytes=.00002", "jitter=40", "drift=300", "clock=4200", "unplug=250", "replug=20"]
    faults = parse_faults(words)

    def worn():
        return faulty_device([(np.arange(12_000) / 20, xyz)], 20.0, faults, 4), FaultyLine(faults, 4)

    events = play(model, list(heard(*worn(), "bad line")))
    states = [event["state"] for event in of(events, "device")]
    assert states == ["connected", "lost", "connected", "lost", "connected"]
    labels = ["sitting", "walking", "jogging"]
    for window in of(events, "window"):
        first, last = int(window["start"] / 200.1), int((window["end"] - 0.1) / 200.1)
        assert window["label"] in labels[first : last + 1]
    hurt = [
        frame
        for item in hear(Connection(*worn()))
        if isinstance(item, Heard) and item.wire != item.sent
        for frame in Decoder().feed(item.sent)
    ]
    away = 2 * 20 * 20  # samples in two pauses of 20 s
    assert events[-1]["lost"] == away + sum(len(frame.samples) for frame in hurt if isinstance(frame, Data)) > away
    assert events[-1]["bad_frames"] > 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("synthetic://?rate=0", "rate is '0'; it is a number from 1 to 10000"),
        ("synthetic://?rate=fast", "rate is 'fast'"),
        ("synthetic://?rate=nan", "rate is 'nan'"),
        ("synthetic://?seconds=0", "seconds is '0'"),
        ("synthetic://?seconds", "seconds is ''"),
        ("synthetic://?seed=1.5", "seed is '1.5'; it is a whole number from 0 to 4294967295"),
        ("synthetic://?seed=-1", "seed is '-1'"),
        ("synthetic://?rate=50&rate=60", "rate is given twice"),
        ("synthetic://?speed=2", "'speed' is unknown; use rate, seconds, seed or fault, as in synthetic://"),
        ("synthetic://?fault=burn:1", "fault 'burn=1' is unknown"),
        ("synthetic://?fault=drop", "drop is the share of frames"),
        ("synthetic://?fault=replug:5", "give unplug=60, too"),
        ("synthetic://wrist?rate=50", "no synthetic wearable; say synthetic://"),
        ("synthetic:///dev/ttyUSB0", "no synthetic wearable"),
        ("synthetic://[?rate=50", "Invalid IPv6 URL"),
        ("socket://?rate=50", "no synthetic wearable"),
    ],
)
def test_a_wrong_url_is_bad_input_at_once(url, says):
    with pytest.raises(BadInput) as refused:
        open_synthetic(url, Stop(), lambda line: None, None)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
