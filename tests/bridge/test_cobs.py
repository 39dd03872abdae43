import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmvq_bridge import cobs

# Mostly long runs without a zero: the blocks of 254 bytes are where an encoder goes wrong.
data = st.lists(
    st.one_of(st.just(b"\0"), st.binary(max_size=8), st.integers(250, 260).map(lambda n: b"\x07" * n)), max_size=6
).map(b"".join)


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("11002233", "0211032233"),
        ("11000000", "0211010101"),
        ("11223300", "0411223301"),
    ],
)
def test_known_encodings(plain: str, encoded: str) -> None:
    assert cobs.encode(bytes.fromhex(plain)).hex() == encoded
    assert cobs.decode(bytes.fromhex(encoded)).hex() == plain


@given(data)
def test_what_is_encoded_comes_back_without_a_zero_on_the_way(plain: bytes) -> None:
    encoded = cobs.encode(plain)
    assert 0 not in encoded
    assert cobs.decode(encoded) == plain


@pytest.mark.parametrize("length", [254, 508])
def test_a_full_last_block_is_encoded_in_the_shortest_form_and_decoded_in_both(length: int) -> None:
    plain = b"\x07" * length
    encoded = cobs.encode(plain)
    assert len(encoded) == length + length // 254
    assert cobs.decode(encoded + b"\x01") == plain


def test_a_zero_after_a_full_block_is_kept() -> None:
    plain = b"\x07" * 254 + b"\0"
    assert cobs.encode(plain) == b"\xff" + b"\x07" * 254 + b"\x01\x01"
    assert cobs.decode(cobs.encode(plain)) == plain


@pytest.mark.parametrize("broken", ["", "00", "0311", "021100", "05112233"])
def test_what_is_no_encoding_is_refused(broken: str) -> None:
    with pytest.raises(ValueError):
        cobs.decode(bytes.fromhex(broken))
