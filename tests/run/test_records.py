import io

import pytest
from wearing import SECOND, capture, frames, hello, records, signal

from mmvq_bridge.command import BadInput
from mmvq_bridge.stream.records import (
    LONGEST_PAYLOAD,
    MAGIC,
    Kind,
    Opening,
    Record,
    encode,
    opened,
    parse_opening,
    read_capture,
)


def read(data, say=lambda notice: None):
    return list(read_capture(io.BytesIO(data[len(MAGIC) :]), "a.mmvqcap", say))


def test_a_capture_gives_back_the_records_that_went_in():
    told = records([hello(), *frames(signal(("sitting", 3)))])
    assert read(capture(told)) == told


@pytest.mark.parametrize("cut", [1, 7, 14])
def test_a_capture_cut_short_in_its_last_record_is_replayed_up_to_there_and_said(cut):
    told = records([hello(), *frames(signal(("sitting", 3)))])
    notices = []
    assert read(capture(told)[:-cut], notices.append) == told[:-1]
    assert "record 9 is cut short" in notices[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"", "without records"),
        (encode(Record(0, Kind.BYTES, b"x")), "out of turn"),
        (b"\x09" + bytes(8) + (1).to_bytes(4, "little") + b"x", "is none"),
        (b"\x01" + bytes(8) + (LONGEST_PAYLOAD + 1).to_bytes(4, "little"), "is none"),
        (encode(Record(0, Kind.OPENED, b"[]")), "not an object"),
        (encode(Record(0, Kind.OPENED, b'{"source": "a\\u001b[2J", "wall": null}')), "no usable source"),
        (encode(Record(0, Kind.OPENED, b'{"source": "a", "wall": "yesterday"}')), "no usable wall time"),
        (encode(Record(0, Kind.OPENED, b"[" * 100_000)), "nested too deeply"),
        (encode(Record(0, Kind.OPENED, b"\xff")), "damaged"),
        (encode(opened(9, Opening("a", None))) + encode(Record(8, Kind.BYTES, b"x")), "time runs backwards"),
    ],
)
def test_what_is_no_capture_is_refused_in_one_line(damage, message):
    with pytest.raises(BadInput, match=message):
        read(MAGIC + damage)


def test_an_opening_says_whether_arrival_times_are_known():
    for opening in (Opening("/dev/ttyUSB0", "2026-11-22T10:00:00.5Z"), Opening("dump", None, arrival=False)):
        assert parse_opening(opened(SECOND, opening).payload) == opening


def test_a_name_that_no_terminal_should_see_is_made_printable():
    told = parse_opening(opened(0, Opening("a\x1b[2J\udcff", None)).payload)
    assert told.source == "a?[2J?"
