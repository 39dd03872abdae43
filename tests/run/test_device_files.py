"""Files as devices wrote them: real ones, and what may be wrong with them. Those of ActiGraph are made here."""

import os
import re
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from wearing import of

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers import device_file
from mmvq_bridge.importers.device_file import read_device_file
from mmvq_run import stream
from mmvq_run.sources.content import Content, tell, tell_pipe

FILES = Path(__file__).parent / "files"
GENEACTIV, AXIVITY = (FILES / "geneactiv.bin").read_bytes(), (FILES / "axivity.cwa").read_bytes()
SHARED = Path(__file__).parents[3] / "shared" / "data" / "device_files"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="more files of devices lie beside developers' checkouts")


def record(kind: int, second: int, payload: bytes) -> bytes:
    """A record of a .gt3x file's log.bin."""
    body = struct.pack("<BBIH", 0x1E, kind, 1_700_000_000 + second, len(payload)) + payload
    return body + bytes([~int(np.bitwise_xor.reduce(np.frombuffer(body, np.uint8))) & 0xFF])


def gt3x(path: Path, *seconds: int) -> Path:
    """30 Hz, (0.25, -0.5, 1) g in each of these seconds."""
    parameters = struct.pack("<HHI", 1, 10, 30) + struct.pack("<HHI", 0, 55, 0x09400000)  # rate; counts a g: 256
    bits = "".join(f"{count & 0xFFF:012b}" for count in (-128, 64, 256) * 30)  # y x z
    activity = int(bits, 2).to_bytes(len(bits) // 8, "big")
    log = record(21, 0, parameters) + b"".join(record(0, second, activity) for second in seconds)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("info.txt", "Serial Number: MOS2E1\nDevice Type: wGT3XBT\nSample Rate: 30\n")
        archive.writestr("log.bin", log)
    return path


def csv(*rows: str, rate: str = "100 Hz") -> bytes:
    """A GENEActiv CSV, with the 100 lines that come first."""
    head = ["Device Type,GENEActiv           ", "Device Unique Serial Code,11152", f"Measurement Frequency,{rate}"]
    return "\r\n".join([*head, *[""] * 97, *rows, ""]).encode()


def row(ms: int, xyz: str = "-0.421,-0.6751,0.305", day: str = "2011-10-09") -> str:
    return f"{day} 10:25:{ms // 1000 % 60:02}:{ms % 1000:03},{xyz},48,0,24.5"


ROWS = tuple(row(ms) for ms in range(0, 3000, 10))


@pytest.fixture
def read(tmp_path):
    """What a file with these bytes holds; its suffix says something else."""

    def read(content: bytes):
        path = tmp_path / "device.parquet"
        path.write_bytes(content)
        return read_device_file(str(path))

    return read


def at_rest(file):
    """|a| of the mean of each second in which next to nothing moves."""
    n = round(file.rate_hz)
    xyz = file.recordings[0].xyz.astype(float)
    seconds = xyz[: len(xyz) // n * n].reshape(-1, n, 3)
    still = seconds.std(axis=1).max(axis=1) < 0.02
    return np.linalg.norm(seconds[still].mean(axis=1), axis=1)


def test_a_geneactiv_file_keeps_the_gap_that_its_clock_has(read):
    file = read(GENEACTIV)
    (recording,) = file.recordings
    assert (file.rate_hz, file.rate_declared, file.meta) == (50.0, True, {"mmvq.device": "GENEActiv 051386"})
    assert (len(recording.t), recording.t.dtype, recording.xyz.dtype) == (900, np.float64, np.float32)
    assert recording.t[0] == 0 and recording.t[-1] == pytest.approx(18.48)
    steps = np.diff(recording.t)  # pages at 16:16:43.5, 50.0 and 56.0, of 6 s each
    assert np.flatnonzero(steps > 0.0201).tolist() == [299] and steps[299] == pytest.approx(0.52)
    assert 0.9 < np.median(np.linalg.norm(recording.xyz, axis=1)) < 1.1
    assert (recording.label == -1).all() and file.labels == ()
    (said,) = file.notices
    assert "GENEActiv 051386, 900 samples at 50 Hz over 18.5 s from 2019-05-21 16:16:43 by its clock" in said


def test_an_axivity_files_samples_are_spread_from_stamp_to_stamp(read):
    file = read(AXIVITY)
    (recording,) = file.recordings
    steps = np.diff(recording.t)
    assert (file.rate_hz, len(recording.t), file.meta["mmvq.device"]) == (100.0, 17_400, "AX3 39434")
    assert 1 / steps.max() > 98.7 and 1 / steps.min() < 99.1  # and no jump of 15 ms after each block of 1.2 s
    assert "it sampled at 98.82 Hz by its clock" in file.notices[1]
    assert len(at_rest(file)) > 50 and at_rest(file).min() > 0.9 and at_rest(file).max() < 1.1


def test_an_actigraph_file_has_its_axes_in_order_and_its_idle_seconds_as_a_gap(tmp_path):
    file = read_device_file(str(gt3x(tmp_path / "a", 0, 1, 2, 10, 11)))
    (recording,) = file.recordings
    assert (file.rate_hz, len(recording.t), file.meta["mmvq.device"]) == (30.0, 150, "wGT3XBT MOS2E1")
    assert np.unique(recording.xyz, axis=0).tolist() == [[0.25, -0.5, 1.0]]
    assert recording.t[[0, 89, 90, 149]] == pytest.approx([0, 2 + 29 / 30, 10, 11 + 29 / 30])


def test_a_geneactiv_csv_needs_no_reader(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "actfast", None)
    file = read(csv(*ROWS))
    (recording,) = file.recordings
    assert (file.rate_hz, file.meta["mmvq.device"]) == (100.0, "GENEActiv 11152")
    assert np.allclose(recording.t, np.arange(300) / 100)
    assert recording.xyz[7] == pytest.approx([-0.421, -0.6751, 0.305])
    assert "300 samples at 100 Hz over 3.0 s from 2011-10-09 10:25:00 by its clock" in file.notices[0]


def test_a_csv_is_read_in_pieces_that_end_anywhere(read, monkeypatch):
    whole = read(csv(*ROWS)).recordings[0]
    monkeypatch.setattr(device_file, "PIECE", 777)
    pieces = read(csv(*ROWS)).recordings[0]
    assert np.array_equal(pieces.t, whole.t) and np.array_equal(pieces.xyz, whole.xyz)


def test_a_device_file_gives_events(model):
    file = read_device_file(str(FILES / "axivity.cwa"))
    events = list(stream(file, model, say=lambda line: None))
    assert len(of(events, "window")) == 167
    assert of(events, "gap") == [] and of(events, "device")[0]["rate_hz"] == 100.0


def test_what_is_there_of_a_file_that_was_cut_short_is_read(read):
    file = read(GENEACTIV[:8000])
    assert 300 < len(file.recordings[0].t) < 600
    assert "cut short: 2 of 3 pages are there" in file.notices[-1]


def test_a_damaged_block_is_left_out_with_a_notice_and_shows_as_a_gap(read):
    file = read(AXIVITY[:2000] + bytes(20) + AXIVITY[2020:])
    steps = np.diff(file.recordings[0].t)
    assert len(file.recordings[0].t) == 17_400 - 120
    assert steps.argmax() == 119 and steps.max() == pytest.approx(1.22, abs=0.02)
    assert "damaged in 1 places, which are left out; first: " in file.notices[1]


def test_a_csv_cut_inside_its_last_row_loses_that_row(read):
    file = read(csv(*ROWS)[:-25])
    assert len(file.recordings[0].t) == 299
    assert file.notices[-1].endswith("cut short inside its last row")


def test_samples_before_which_the_clock_ran_backwards_are_left_out(read):
    file = read(csv(*ROWS[:200], *ROWS[150:]))
    assert np.allclose(file.recordings[0].t, np.arange(300) / 100)
    assert "50 samples are left out because its clock ran backwards" in file.notices[-1]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (csv(), "a GENEActiv CSV, but without samples"),
        (csv(ROWS[0]), "without samples"),
        (b"Device Type,GENEActiv", "without samples"),
        (b"Device Type,GENEActiv\n" * 300, "without rows of time,x,y,z"),
        (b"Device Type,GENEActiv" + b"x" * 3_000_000, "a line of over 1048576 bytes"),
        (csv(*ROWS[:9], "2011-10-09 10:25:00:100,-0.421,,0.305,1,0,9", *ROWS), "line 110 is no row of time,x,y,z"),
        (csv(*ROWS[:9], row(90, "1,2,nan"), *ROWS), "line 110 is no row"),
        (csv(*ROWS[:9], row(90, day="2011-02-31"), *ROWS), "lines 101 to .* export it again"),
        (csv(*ROWS, row(0, "1,2,33")), r"sample 301 is .* g: damaged, or unknown units"),
        (csv(*ROWS, row(0, day="2031-10-09")), "but over 7305 days: its clock was set meanwhile"),
        (csv(*ROWS, rate=""), "but with 0 Hz as its rate"),
        (csv(*ROWS, rate="fast"), "but with 0 Hz as its rate"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_in_one_line(read, content, match):
    with pytest.raises(BadInput, match=match) as refused:
        read(content)
    assert "\n" not in str(refused.value) and "device.parquet: " in str(refused.value)


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert re.search(old, content)
    return re.sub(old, new, content)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"Device Identity\r\nDevice Unique Serial Code:012\r\n", "a GENEActiv file .* cannot be read .*end of file"),
        (GENEACTIV[:1000], "a GENEActiv file .* cannot be read .*end of file"),
        (GENEACTIV[: GENEACTIV.index(b"Recorded Data")], "a GENEActiv file .* without samples"),
        (changed(GENEACTIV, b"x gain:25522", b"x gain:0"), "damaged, or unknown units"),
        (changed(GENEACTIV, b"x gain:25522", b"x gain:1"), "damaged, or unknown units"),
        (changed(GENEACTIV, rb"Frequency:50\.0", b"Frequency:0"), "a rate lies between 1 and 10000 Hz"),
        (changed(GENEACTIV, rb"Frequency:50\.0", b"Frequency:-5"), "a rate lies between 1 and 10000 Hz"),
        (changed(GENEACTIV, rb"Page Time:2019", b"Page Time:\x1b[2J"), "without samples"),
        (changed(GENEACTIV, rb"Time:2019-05-21 16:16:56", b"Time:2119-05-21 16:16:56"), "its clock was set meanwhile"),
        (AXIVITY[:700], "an Axivity file .* cannot be read"),
        (AXIVITY[:1024], "an Axivity file .* without samples"),
        (AXIVITY[:1024] + bytes(5000), "an Axivity file .* without samples"),
        (b"PK\x03\x04" + bytes(100), "ActiGraph.* cannot be read .*Zip"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_printable_line(read, content, match):
    with pytest.raises(BadInput, match=match) as refused:
        read(content)
    assert str(refused.value).isprintable() and "device.parquet: " in str(refused.value)


@pytest.mark.parametrize("pages", [b"99999999999", b"9" * 19])
def test_a_file_that_claims_more_than_memory_holds_ends_its_reader_and_not_us(read, pages):
    with pytest.raises(BadInput, match="takes more memory than there is; if it is small, it is damaged"):
        read(changed(GENEACTIV, rb"Number of Pages:3", b"Number of Pages:" + pages))


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "letter.gt3x"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "dear")
    with pytest.raises(BadInput, match=r"cannot be read \(.*info\.txt"):
        read_device_file(str(path))
    with pytest.raises(BadInput, match="without samples"):
        read_device_file(str(gt3x(path)))


def test_ctrl_c_ends_the_reader_and_is_passed_on(read, monkeypatch):
    monkeypatch.setattr(device_file, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    with pytest.raises(KeyboardInterrupt):
        read(GENEACTIV)


def test_without_actfast_the_extra_is_named(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "actfast", None)
    with pytest.raises(BadInput, match=r"an Axivity file \(.cwa\); reading it needs actfast: pip install 'mmvq\[dev"):
        read(AXIVITY)


def test_what_is_no_file_of_a_device_is_refused(read, tmp_path):
    with pytest.raises(BadInput, match="gone: No such file"):
        read_device_file(str(tmp_path / "gone"))
    with pytest.raises(BadInput, match="no file of a GENEActiv"):
        read(b"hello")
    with pytest.raises(BadInput, match="no file but a pipe or a device"):
        read_device_file(os.devnull)


@pytest.mark.parametrize("content", [GENEACTIV, AXIVITY, csv(*ROWS), b"PK\x03\x04"])
def test_device_files_are_told_by_content_and_refused_from_a_pipe(content):
    assert tell(content[:65_536], "x.parquet") is Content.DEVICE
    for size in range(1, 4):
        assert tell_pipe(content[:size]) is None
    with pytest.raises(BadInput, match=r"stdin: .*, which is read from a file only; give its path with --input"):
        tell_pipe(content[:4096])


@needs_shared
@pytest.mark.parametrize(
    ("name", "device", "rate_hz", "samples", "seconds"),
    [
        ("actigraph__wristpy_example.gt3x", "wGT3XBT MOS2E17210537", 60.0, 4860, 80.98),
        ("axivity__GGIRread_ax3.cwa", "AX3 39434", 100.0, 17_400, 176.0),
        ("axivity__GGIRread_ax6.cwa", "AX6 6011834", 100.0, 11_320, 114.29),
        ("axivity__skdh_ax3_sample.cwa", "AX3 51888", 200.0, 58_800, 298.11),
        ("axivity__skdh_ax6_sample.cwa", "AX6 6011802", 100.0, 10_360, 105.27),
        ("geneactiv__GGIRread_testfile.bin", "GENEActiv 012967", 85.7, 5031, 58.68),
        ("geneactiv__pygeneactiv_right_wrist.csv", "GENEActiv 11152", 100.0, 9900, 98.99),
        ("geneactiv__skdh_sample.bin", "GENEActiv 051386", 50.0, 900, 18.48),
        ("geneactiv__wristpy_example.bin", "GENEActiv 101806", 60.0, 27_300, 454.98),
    ],
)
def test_all_real_files_at_hand_have_their_rate_their_length_and_one_g_at_rest(name, device, rate_hz, samples, seconds):
    file = read_device_file(str(SHARED / name))
    (recording,) = file.recordings
    assert (file.meta["mmvq.device"], file.rate_hz, len(recording.t)) == (device, rate_hz, samples)
    assert recording.t[-1] == pytest.approx(seconds, abs=0.01) and (np.diff(recording.t) > 0).all()
    still = at_rest(file)
    assert 0.9 < np.median(still if len(still) else np.linalg.norm(recording.xyz, axis=1)) < 1.3
    assert ("cut short: 17 of 222048 pages" in file.notices[-1]) == ("testfile" in name)
