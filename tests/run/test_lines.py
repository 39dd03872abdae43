import numpy as np
import pytest
from wearing import SECOND, of, play, signal

from mmvq_bridge.command import BadInput
from mmvq_bridge.stream.lines import LineTimer, parse_line, rate_of_arrivals, rate_of_times
from mmvq_bridge.stream.records import END, Kind, Opening, Record, opened
from mmvq_bridge.stream.timed import Samples
from mmvq_run.pipeline import Options, answered
from mmvq_run.session import Session


def lines(xyz, rate=20.0, t_ms=True, scale=1.0, start_ms=0):
    times = [f"{start_ms + round(i / rate * 1000)}," if t_ms else "" for i in range(len(xyz))]
    return [f"{t}{x:.4f},{y:.4f},{z:.4f}\r\n".encode() for t, (x, y, z) in zip(times, xyz * scale, strict=True)]


def told_by(pieces, rate=20.0, arrival=True, jitter=0.0, start_ns=SECOND):
    rng = np.random.default_rng(0)
    records = [opened(0, Opening("board", None, arrival))]
    for k, piece in enumerate(pieces):
        late = rng.uniform(0, jitter)
        records.append(Record(start_ns + round((k / rate + late) * SECOND) if arrival else 0, Kind.BYTES, piece))
    return [*records, Record(records[-1].host_ns, Kind.CLOSED, END)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"1,2,3", (1, 2, 3)), (b" 17, -0.5 ,1e-1,9.8\r", (17, -0.5, 0.1, 9.8)), (b"1,2", None), (b"x,y,z", None),
        (b"1;2;3", None), (b"1_0,2,3", None), (b"1,2,3,4,5", None), (b"", None), (b"\xff,1,2", None),
        (b"nan,1,2,3", None), (b"1," * 2 + b"0" * 300, None),
    ],
)  # fmt: skip
def test_a_line_is_three_or_four_numbers(text, numbers):
    assert parse_line(text) == numbers


def test_a_line_with_nan_has_numbers_which_are_dropped_later():
    assert np.isnan(parse_line(b"1,nan,2,3")[1])


def test_with_t_ms_time_is_t_ms(model):
    events = play(model, told_by(lines(signal(("walking", 30)), start_ms=7_000)))
    assert of(events, "device")[0] | {"v": 1} == {
        "v": 1, "type": "device", "t": 0.0, "state": "connected", "uid": None, "rate_hz": 20.0,
    }  # fmt: skip
    assert [w["t"] for w in of(events, "window")] == [float(t) for t in range(10, 31)]
    assert {w["label"] for w in of(events, "window")} == {"walking"}


def test_without_t_ms_the_rate_is_that_of_arrival_and_is_said_with_its_uncertainty(model):
    session = Session(model.metadata, Options())
    for record in told_by(lines(signal(("walking", 30)), t_ms=False), jitter=0.02):
        answered(session.feed(record), model.predict)
    assert any("Hz by their arrival" in notice and "±" in notice for notice in session.notices)
    rate = session._wearer.rate_hz
    assert rate == pytest.approx(20.0, rel=0.01)


def test_the_rate_of_arrivals_lies_within_its_uncertainty():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(100):
        rate, error = rate_of_arrivals(np.arange(100) / 20.03 + rng.normal(0, 0.01, 100))
        hits += abs(rate - 20.03) < 2 * error
    assert hits >= 88  # 95 % expected


def test_a_gap_does_not_lower_the_rate_of_times():
    t = np.arange(60) / 50
    t[30:] += 2
    assert rate_of_times(t) == pytest.approx(50)
    assert rate_of_times(np.zeros(5)) == 0


def test_lines_without_any_time_are_refused(model):
    with pytest.raises(BadInput, match="without arrival times have no time"):
        play(model, told_by(lines(signal(("walking", 30)), t_ms=False), arrival=False))


def test_lines_with_nan_are_dropped_counted_and_told(model):
    pieces = lines(signal(("walking", 30)))
    pieces[200] = b"10000,nan,0,1\n"
    pieces[201] = b"10050,0,inf,1\n"
    pieces[400] = b"20000,0.1,garb\x00age\n"
    events = play(model, told_by(pieces))
    assert [(gap["lost"], gap["why"]) for gap in of(events, "gap")] == [(2, "invalid"), (1, "invalid")]
    assert events[-1]["bad_frames"] == 1
    assert all(np.isfinite(w["confidence"]) for w in of(events, "window"))
    assert any(w.get("patched") == 0.01 for w in of(events, "window"))


def test_a_greeting_and_a_first_line_cut_short_do_no_harm(model):
    pieces = lines(signal(("walking", 30)))
    events = play(model, told_by([b"34,0.1,0.9\n", b"board v2 ready\r\n", b"t_ms,x,y,z\n", *pieces]))
    assert events[-1]["bad_frames"] == 0
    assert len(of(events, "window")) == 21


def test_a_board_that_starts_again_goes_on_by_the_arrival_clock(model):
    pieces = lines(signal(("walking", 20))) + lines(signal(("walking", 20), seed=1))
    events = play(model, told_by(pieces))
    assert [d["state"] for d in of(events, "device")] == ["connected", "reset"]
    assert events[-1]["t"] == pytest.approx(40, abs=0.3)


def test_one_time_that_is_wrong_is_one_line_lost(model):
    pieces = lines(signal(("walking", 30)))
    pieces[300] = pieces[300][1:]  # 15000 -> 5000
    events = play(model, told_by(pieces))
    assert [d["state"] for d in of(events, "device")] == ["connected"]
    assert [(gap["lost"], gap["why"]) for gap in of(events, "gap")] == [(1, "invalid")]


@pytest.mark.parametrize(("units", "scale"), [("auto", 9.80665), ("ms2", 9.80665), ("counts:256", 256.0), ("g", 1.0)])
def test_units(model, units, scale):
    xyz = signal(("sitting", 20))
    events = play(model, told_by(lines(xyz, scale=scale)), units=units)
    assert {w["label"] for w in of(events, "window")} == {"sitting"}


def test_counts_without_their_scale_are_refused(model):
    with pytest.raises(BadInput, match="--units counts:N"):
        play(model, told_by(lines(signal(("sitting", 20)), scale=256.0)))


@pytest.mark.parametrize("ppm", [-500, 500])
def test_lines_without_times_follow_the_board_for_as_long_as_it_runs(ppm):
    """A clock that is off, arrivals late by up to 50 ms: samples stay within 10 ms of when they were taken."""
    rng = np.random.default_rng(ppm + 500)
    timer, told, last = LineTimer("g", arrival=True), [], 0.0
    timer.begin(3)
    period = 0.01 / (1 + ppm * 1e-6)
    for i in range(30_000):
        last = max(last, i * period + rng.uniform(0, 0.05))
        told += timer.feed(b"0,0,1\n", round(last * 1e9))
    t = np.concatenate([item.t for item in told if isinstance(item, Samples)])
    assert len(t) == 30_000 and (np.diff(t) > 0).all()
    assert np.abs(t - np.arange(30_000) * period)[6000:].max() < 0.01
