"""Hurt and arbitrary bytes for a moment, the same ones each time; benchmarks/fuzz.py goes on for as long as one likes.

Below are the inputs that it has found.
"""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from bridge_promises import TARGETS, wires
from hurt import QUICK, whatever

from mmvq_bridge.command import BadInput, run_command
from mmvq_bridge.frames import Decoder, Ping, encode
from mmvq_bridge.recordings import COLUMNS, parse_recordings

HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_keeps_its_promises_on_any_bytes(name: str) -> None:
    target = TARGETS[name]
    QUICK(given(whatever(target.seeds()))(target.check))()


@QUICK
@given(st.lists(st.sampled_from(wires()), min_size=1, max_size=3), st.binary(max_size=600))
def test_noise_costs_no_frame_but_those_that_it_touches(sent: list[bytes], noise: bytes) -> None:
    before, after = Decoder(), Decoder()
    expected = before.feed(b"".join(sent))
    between = Decoder().feed(noise + b"\0")
    assert after.feed(b"".join(sent) + noise + b"\0" + b"".join(sent)) == expected + between + expected


@pytest.mark.parametrize("piece", [b"\x05" * 4096, b"\x01\x02\x00" * 1365, bytes(4096)], ids=["long", "bad", "empty"])
def test_endless_noise_takes_no_memory(piece: bytes) -> None:
    decoder = Decoder()
    decoder.feed(piece)
    tracemalloc.start()
    for _ in range(40):
        decoder.feed(piece)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 20_000
    assert decoder.feed(b"\0" + encode(Ping(7))) == [Ping(7)]


def parquet(**changes: pa.Array) -> bytes:
    """A file of three rows; a change replaces its column."""
    columns = {name: pa.array([0, 0, 0]) for name in COLUMNS}
    columns |= {"t_ms": pa.array([0, 50, 100]), "subject": pa.array(["a"] * 3), "label": pa.array(["b"] * 3)} | changes
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(list(columns.values()), names=[name.removesuffix("_again") for name in columns]), sink)
    return sink.getvalue().to_pybytes()


def refused(data: bytes) -> str:
    with pytest.raises(BadInput) as error:
        parse_recordings(data, "a.file", "auto")
    return str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(parquet(subject=pa.array([["a"], ["b"], []])), "column subject holds list", id="list of texts"),
        pytest.param(parquet(label=pa.array([{"a": 1}] * 3)), "column label holds struct", id="struct for a text"),
        pytest.param(parquet(x_again=pa.array([0, 0, 0])), "Multiple matches for", id="a column twice"),
        pytest.param(
            parquet(x=pa.array(np.array([0xFFA00000] * 3, np.uint32).view(np.float32))), "row 1, column x: nan is not",
            id="NaN that signals",
        ),
        pytest.param(parquet().replace(b"subject", b"subj\xffct"), "not a whole Parquet file", id="name no UTF-8"),
        pytest.param(
            parquet(subject=pa.array(["Marie"] * 3)).replace(b"Marie", b"Mar\xffe"), "column subject holds",
            id="text no UTF-8",
        ),
        pytest.param(f"{HEADER},x\n1,a,,0,0,0,1,0\n".encode(), "column x is there 2 times", id="a CSV column twice"),
        pytest.param(f"{HEADER}\n1,a,,0,0,0,1\n1,a,,1e300,0,0,1\n".encode(), "row 2, column t_ms: 1e+300", id="far"),
        pytest.param(f"{HEADER}\n1,a,,0,1e200,0,1\n".encode(), "row 1, column x: 1e+200", id="beyond squares"),
    ],
)  # fmt: skip
def test_what_fuzzing_found_in_recordings_is_refused_in_one_line(data: bytes, message: str) -> None:
    assert message in refused(data)


def test_metadata_that_are_no_text_are_refused() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({name: pa.array([0]) for name in COLUMNS}).replace_schema_metadata({b"mmvq.name": b"\xff"})
    pq.write_table(table, sink)
    assert "not a whole Parquet file" in refused(sink.getvalue().to_pybytes())


def test_words_of_a_file_give_no_orders_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: object) -> None:
        parse_recordings(b"a\x1b[2J,b\n1,2\n", "a.csv")

    assert run_command("mmvq", work, []) == 2
    assert "found: a?[2J, b" in capsys.readouterr().err
