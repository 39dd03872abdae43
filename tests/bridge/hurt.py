"""True bytes, hurt in some places: what a bad line, a torn file or somebody's ill will makes of them."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

# A test must not fail by lot, nor because two other tests run beside it.
QUICK = settings(derandomize=True, deadline=None, max_examples=200, database=None)


@st.composite
def hurt(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with up to four changes: bytes replaced, put in, taken out, or moved."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.sampled_from([0, 1, 2, 4, 8, 64])))
        how = draw(st.sampled_from(["put", "take", "move", "number"]))
        if how == "put":
            data[at:until] = draw(st.binary(max_size=8))
        elif how == "take":
            del data[at:until]
        elif how == "move":
            to = draw(st.integers(0, len(data)))
            data[to:to] = data[at:until]
        else:
            data[at:until] = draw(st.sampled_from([b"-1", b"1e308", b"nan", b"0", b"9" * 20, b"\xff" * 4, b"\0" * 4]))
    return bytes(data)


def whatever(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Hurt seeds, now and then anything at all."""
    return st.one_of(hurt(seeds), hurt(seeds), hurt(seeds), st.binary(max_size=200))
