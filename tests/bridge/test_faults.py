import pytest

from mmvq_bridge.command import BadInput
from mmvq_bridge.faults import Faults, FaultyLine, parse_faults
from mmvq_bridge.frames import Decoder, Ping, encode

FRAMES = [encode(Ping(number)) for number in range(2000)]


def carried(faults: Faults, seed: int) -> list[bytes]:
    line = FaultyLine(faults, seed)
    return [line.carry(frame) for frame in FRAMES]


def test_a_line_without_faults_carries_everything() -> None:
    assert carried(Faults(), 1) == FRAMES


def test_the_same_seed_hurts_the_same_frames_and_another_seed_others() -> None:
    faults = Faults(drop=0.1, corrupt=0.1)
    assert carried(faults, 1) == carried(faults, 1)
    assert carried(faults, 1) != carried(faults, 2)


def test_dropped_frames_are_gone_and_counted_and_the_others_are_whole() -> None:
    line = FaultyLine(Faults(drop=0.1), 3)
    arrived = [line.carry(frame) for frame in FRAMES]
    assert arrived.count(b"") == line.dropped
    assert 150 < line.dropped < 250
    assert all(got in (b"", frame) for got, frame in zip(arrived, FRAMES, strict=True))


def test_a_corrupted_frame_has_one_other_bit_and_a_decoder_notices() -> None:
    line = FaultyLine(Faults(corrupt=1.0), 4)
    decoder = Decoder()
    for frame in FRAMES:
        hurt = line.carry(frame)
        flipped = int.from_bytes(hurt, "big") ^ int.from_bytes(frame, "big")
        assert len(hurt) == len(frame)
        assert flipped.bit_count() == 1
        assert decoder.feed(hurt + b"\0") == []
    assert line.corrupted == len(FRAMES)
    assert decoder.bad_frames >= len(FRAMES)


def test_corruption_does_not_move_the_places_of_drops() -> None:
    plain, both = carried(Faults(drop=0.1), 5), carried(Faults(drop=0.1, corrupt=0.5), 5)
    assert [frame == b"" for frame in plain] == [frame == b"" for frame in both]


def test_faults_are_read_from_words() -> None:
    assert parse_faults(["drop=0.01", "corrupt=.5", "unplug=60"]) == Faults(0.01, 0.5, 60.0)
    assert parse_faults([]) == Faults()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["burn=1"], "'burn=1' is unknown; use one of drop=NUMBER"),
        (["drop"], "drop is the share of frames"),
        (["drop=often"], "such as drop=0.01"),
        (["drop=1.5"], "0 to 1"),
        (["corrupt=-0.1"], "corrupt is the share"),
        (["unplug=nan"], "unplug is the second"),
        (["drop=0.1", "drop=0.2"], "given twice"),
    ],
)
def test_wrong_faults_are_bad_input(words: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_faults(words)
