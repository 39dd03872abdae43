import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvq_bridge.frames import (
    Ack,
    Command,
    Data,
    Decoder,
    Frame,
    Hello,
    Ping,
    Pong,
    Stat,
    decode,
    encode,
)

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
TYPES: dict[int, type[Frame]] = {1: Hello, 2: Data, 3: Stat, 4: Ping, 5: Pong, 6: Command, 7: Ack}

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
i16 = st.integers(-(2**15), 2**15 - 1)
samples = st.lists(st.tuples(i16, i16, i16), min_size=1, max_size=80).map(lambda rows: np.array(rows, np.int16))
frames = st.one_of(
    st.builds(Hello, u8, u32, u64, u32, u16, u8),
    st.builds(Data, u8, u16, u32, samples),
    st.builds(Stat, u32, u32, u16, i16),
    st.builds(Ping, u32),
    st.builds(Pong, u32, u32),
    st.builds(Command, u8, u32),
    st.builds(Ack, u8, u8),
)


def golden_frame(fields: dict[str, Any]) -> Frame:
    values = {name: value for name, value in fields.items() if name != "type"}
    if "samples" in values:
        values["samples"] = np.array(values["samples"], np.int16)
    return TYPES[fields["type"]](**values)


def broken_and_then(piece: bytes) -> tuple[int, list[Frame]]:
    """Bad frames and frames when `piece` and a good PING come in."""
    decoder = Decoder()
    got = decoder.feed(piece + b"\0" + encode(Ping(7)))
    return decoder.bad_frames, got


@pytest.mark.parametrize("vector", GOLDEN["vectors"], ids=lambda vector: vector["name"])
def test_golden_vectors_hold_both_ways(vector: dict[str, Any]) -> None:
    wire, frame = bytes.fromhex(vector["frame"]), golden_frame(vector["fields"])
    assert encode(frame) == wire
    decoder = Decoder()
    assert decoder.feed(wire) == [frame]
    assert decoder.bad_frames == 0


@pytest.mark.parametrize("vector", GOLDEN["accepted"], ids=lambda vector: vector["name"])
def test_golden_frames_in_another_form_are_decoded_and_not_encoded_so(vector: dict[str, Any]) -> None:
    wire, frame = bytes.fromhex(vector["frame"]), golden_frame(vector["fields"])
    assert Decoder().feed(wire) == [frame]
    assert len(encode(frame)) < len(wire)


@pytest.mark.parametrize("vector", GOLDEN["refused"], ids=lambda vector: vector["name"])
def test_golden_pieces_that_are_no_frame_are_counted_once_and_dropped(vector: dict[str, Any]) -> None:
    assert broken_and_then(bytes.fromhex(vector["frame"])[:-1]) == (1, [Ping(7)])


@given(frames)
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    wire = encode(frame)
    assert wire.index(0) == len(wire) - 1
    assert decode(wire[:-1]) == frame


@given(st.lists(frames, max_size=4), st.binary(max_size=40), st.data())
def test_how_the_bytes_are_cut_up_changes_nothing(sent: list[Frame], noise: bytes, draw: st.DataObject) -> None:
    stream = noise + b"".join(map(encode, sent)) + b"\x05" * draw.draw(st.sampled_from([0, 3, 600]))
    whole = Decoder()
    expected = whole.feed(stream)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = Decoder()
    got = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for frame in pieces.feed(stream[start:end])
    ]
    assert got == expected
    assert pieces.bad_frames == whole.bad_frames


@given(st.binary(max_size=700), st.lists(frames, min_size=1, max_size=3))
def test_after_noise_the_next_zero_brings_the_frames_back(noise: bytes, sent: list[Frame]) -> None:
    assert Decoder().feed(noise + b"\0" + b"".join(map(encode, sent)))[-len(sent) :] == sent


def test_no_single_flipped_bit_gives_a_frame_that_was_not_sent() -> None:
    for vector in GOLDEN["vectors"]:
        wire = bytes.fromhex(vector["frame"])
        for bit in range(8 * len(wire)):
            hurt = bytearray(wire)
            hurt[bit // 8] ^= 1 << bit % 8
            decoder = Decoder()
            got = decoder.feed(bytes(hurt) + b"\0")
            # A closing zero that turns into 01 may leave the frame that was sent, in the longer form.
            assert got in ([], [golden_frame(vector["fields"])] if hurt[-1] else [])
            assert got or decoder.bad_frames >= 1


# Derandomised: 16 bits of CRC let one of 65536 wild changes through, and a test must not fail by lot.
@settings(derandomize=True, max_examples=300)
@given(st.lists(frames, min_size=1, max_size=4), st.data())
def test_flipped_lost_and_added_bytes_give_no_frame_that_was_not_sent(sent: list[Frame], draw: st.DataObject) -> None:
    stream = bytearray(b"".join(map(encode, sent)))
    for _ in range(draw.draw(st.integers(1, 5))):
        at = draw.draw(st.integers(0, len(stream) - 1))
        change = draw.draw(st.sampled_from(["flip", "lose", "add"]))
        if change == "flip":
            stream[at] ^= 1 << draw.draw(st.integers(0, 7))
        elif change == "add":
            stream.insert(at, draw.draw(u8))
        else:
            del stream[at]
    decoder = Decoder()
    got = decoder.feed(bytes(stream) + b"\0")
    assert all(frame in sent for frame in got)
    assert len(got) == len(sent) or decoder.bad_frames > 0


def test_a_piece_without_an_end_is_counted_once_however_long_it_is() -> None:
    assert broken_and_then(b"\x05" * 100_000) == (1, [Ping(7)])


def test_an_empty_frame_is_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\0\0" + encode(Ping(1)) + b"\0\0" + encode(Ping(2))) == [Ping(1), Ping(2)]
    assert decoder.bad_frames == 0


def test_the_decoder_keeps_no_more_than_a_frame() -> None:
    decoder = Decoder()
    for _ in range(1000):
        decoder.feed(b"\x05" * 1000)
    assert decoder.bad_frames == 1
    assert sum(len(value) for value in vars(decoder).values() if isinstance(value, bytes | bytearray)) <= 512
    assert decoder.feed(b"\0" + encode(Ping(1))) == [Ping(1)]


@pytest.mark.parametrize(
    "frame", [Hello(1, -1, 0, 0, 0, 0), Ping(2**32), Stat(0, 0, 65536, 0), Stat(0, 0, 0, 32768), Ack(256, 0)]
)
def test_a_field_that_does_not_fit_is_not_encoded(frame: Frame) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(frame)


@pytest.mark.parametrize(
    "wrong", [np.zeros((0, 3), np.int16), np.zeros((81, 3), np.int16), np.zeros((1, 2), np.int16), np.zeros((1, 3))]
)
def test_samples_of_another_shape_or_type_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="samples are int16"):
        Data(0, 0, 0, wrong)


def test_data_frames_are_equal_by_their_samples() -> None:
    one, same, other = (Data(0, 1, 2, np.array([[1, 2, z]], np.int16)) for z in (3, 3, 4))
    assert one == same
    assert len({one, same, other}) == 2
    assert one != Ping(1)


def test_fields_stand_in_the_order_of_the_wire() -> None:
    assert astuple(decode(encode(Stat(1, 2, 3, -4))[:-1])) == (1, 2, 3, -4)
