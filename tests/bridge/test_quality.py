"""Whether a file's data is good: calibration against devices whose errors are known, and what else is found."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from hurt import QUICK
from quality_devices import (
    GAIN,
    HZ,
    NOISE_G,
    OFFSET,
    UP,
    a_day_with_a_rest,
    directions,
    file_of,
    found,
    held,
    measured,
    recording,
)

from mmvq_bridge.findings import Severity
from mmvq_bridge.importers.device_file import read_dated_device_file
from mmvq_bridge.quality import as_html, calibrate, calibrated, judge, quality
from mmvq_bridge.quality import timing as timing_module
from mmvq_bridge.quality.calibration import META, MORE, WAYS
from mmvq_bridge.quality.timing import gaps, timing

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests" / "run" / "files"
SHARED = ROOT.parent / "shared" / "data" / "device_files"
MG = 0.001


def error_mg(points):
    return 1000 * np.abs(np.linalg.norm(points, axis=1) - 1).mean()


def worst_mg(calibration, gain=GAIN, offset=OFFSET):
    """How far from the truth a corrected value is at most, over the whole sphere."""
    true = directions(500, seed=99)
    return 1000 * np.abs(calibration.correct(measured(true, gain, offset).astype(np.float32)) - true).max()


def rests(seed, noise):
    """Means of 300 still windows of a true device."""
    return directions(300, seed) + np.random.default_rng([seed, 1]).normal(0, noise, (300, 3))


# Calibration

gains = st.tuples(*[st.floats(0.95, 1.05)] * 3)
offsets = st.tuples(*[st.floats(-0.1, 0.1)] * 3)


@given(gain=gains, offset=offsets, seed=st.integers(0, 2**16))
@QUICK
def test_gain_and_offset_of_any_device_are_recovered_within_half_a_milli_g(gain, offset, seed):
    true = rests(seed, 0.5 * MG)
    calibration = calibrate(measured(true, gain, offset), hours=80)
    assert worst_mg(calibration, gain, offset) < 0.5
    assert calibration.after_mg < 0.6


@given(seed=st.integers(0, 2**16), noise=st.floats(0, 2 * MG))
@QUICK
def test_a_true_device_is_not_made_worse(seed, noise):
    calibration = calibrate(rests(seed, noise), hours=80)
    assert worst_mg(calibration, (1, 1, 1), (0, 0, 0)) < 1
    assert not calibration.applies or calibration.after_mg < calibration.before_mg


def test_a_recording_is_calibrated_by_its_still_windows_and_movement_between_them_does_not_disturb():
    ways = directions(40)
    still = held(*[(30, way, NOISE_G) for way in ways])
    moving = held(*[bout for way in ways for bout in ((30, way, NOISE_G), (17, way, 0.4))])
    by_rest, by_both = (quality(file_of(recording(measured(xyz)))).calibration for xyz in (still, moving))
    assert by_rest.windows == 120 and 40 <= by_both.windows < 120
    for calibration in (by_rest, by_both):
        assert calibration.applies and calibration.before_mg > 20
        assert calibration.after_mg < 0.5 and worst_mg(calibration) < 0.5


def test_zeros_that_a_device_writes_while_it_sleeps_are_no_rest():
    xyz = measured(held(*[(20, way, NOISE_G) for way in directions(40)]))
    xyz[2000:4000] = 0
    of = quality(file_of(recording(xyz)))
    assert of.calibration.applies and of.calibration.windows == 70 and worst_mg(of.calibration) < 0.5
    assert of.scale.gravity == pytest.approx(1, abs=0.05)


def test_a_few_windows_that_are_wrong_are_outweighed():
    points = measured(directions(300))
    points[::20] += 0.05  # 15 of them, as a slow lift gives
    assert worst_mg(calibrate(points, hours=80)) < 3


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_device_that_never_lay_on_one_side_is_left_alone(axis, sign):
    true = directions(400)
    calibration = calibrate(measured(true[sign * true[:, axis] < 0.2]), hours=80)
    side = f"{'+' if sign > 0 else '-'}{'xyz'[axis]}"
    assert calibration.why_not == f"it never rested with {side} up by over 0.3 g; {MORE}"
    assert (calibration.gain, calibration.offset, calibration.after_mg) == ((1, 1, 1), (0, 0, 0), None)


def test_few_ways_to_lie_are_not_enough_as_a_fit_to_them_may_be_wrong_everywhere_else(monkeypatch):
    elsewhere = measured(directions(500, seed=99)).astype(np.float32)
    held_in_six = []
    for seed in range(60):  # errors of 6 mg a way, which no gain and offset explains
        points = measured(directions(6, seed)) + np.random.default_rng(seed).normal(0, 6 * MG, (6, 3))
        held_in_six.append(np.repeat(points, 8, axis=0))
    assert not any(calibrate(points, hours=80).applies for points in held_in_six)
    monkeypatch.setattr("mmvq_bridge.quality.calibration.WAYS", 6)
    fits = [fit for fit in (calibrate(points, hours=80) for points in held_in_six) if fit.applies]
    assert all(fit.after_mg < fit.before_mg for fit in fits)
    assert any(error_mg(fit.correct(elsewhere)) > error_mg(elsewhere) for fit in fits)


def test_how_many_ways_there_were_is_told():
    ways = np.concatenate([np.eye(3), -np.eye(3)])
    calibration = calibrate(np.repeat(measured(ways), 20, axis=0), hours=0.33)
    assert calibration.why_not == f"it rested in 6 different ways, and {WAYS} are needed; {MORE}"
    assert (calibration.windows, calibration.hours) == (120, 0.33) and calibration.before_mg > 10


def test_errors_that_are_no_matter_of_gain_and_offset_stay():
    true = directions(300)
    bent = true * (1 + 0.05 * np.sign(true[:, :1] * true[:, 1:2]))
    calibration = calibrate(bent, hours=80)
    assert "so it is no matter of gain and offset" in calibration.why_not and calibration.after_mg >= 10
    assert calibration.gain == (1, 1, 1)


def test_without_rest_nothing_is_calibrated():
    calibration = quality(file_of(recording(held((300, UP, 0.3))))).calibration
    assert (calibration.why_not, calibration.windows, calibration.before_mg) == ("no window of 10 s is still", 0, None)


def test_windows_that_a_gap_empties_and_clipped_ones_are_no_rest():
    t = np.concatenate([np.arange(200), np.arange(200) + 300]) / HZ  # the second of three windows is half empty
    xyz = held((20, UP, NOISE_G))
    assert quality(file_of(recording(xyz, t=t))).calibration.windows == 1
    assert quality(file_of(recording(held((60, (0, 0, 2.1), NOISE_G))))).calibration.windows == 0


def test_a_corrected_file_says_so_and_is_not_corrected_twice():
    file = file_of(recording(measured(held(*[(20, way, NOISE_G) for way in directions(40)]))), meta={"mmvq.name": "n"})
    before = quality(file)
    mended = calibrated(file, before.calibration)
    assert error_mg(mended.recordings[0].xyz) < 5 < error_mg(file.recordings[0].xyz)
    assert mended.recordings[0].xyz.dtype == np.float32 and mended.meta["mmvq.name"] == "n"
    assert np.allclose([float(x) for x in mended.meta[META].split()], [*GAIN, *OFFSET], atol=1e-3)
    after = quality(mended)
    assert after.calibration.why_not == "the file was calibrated before"
    assert after.calibration.before_mg < 1 and calibrated(mended, after.calibration) is mended


def test_several_wearers_may_have_worn_several_devices():
    xyz = measured(held(*[(20, way, NOISE_G) for way in directions(40)]))
    two = file_of(recording(xyz, subject="a"), recording(xyz, subject="b", id=1))
    calibration = quality(two).calibration
    assert calibration.why_not == "it has 2 wearers, who may have worn as many devices; import them one by one"
    assert calibration.gain == (1, 1, 1)


# Unit, range, resolution


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (9.80665, "not 1: the values are in m/s²"),
        (1000, "not 1: the values are in mg"),
        (1 / 9.80665, "not 1: values in g were taken for m/s²"),
        (4, "not 1: they were read for 4 times the range that the device measured with"),
        (1 / 8, "not 1: they were read for 1/8 of the range that the device measured with"),
    ],
)
def test_a_wrong_unit_is_named_whatever_it_makes_of_stillness(factor, said):
    of = quality(file_of(recording(factor * held(*[(20, way, NOISE_G) for way in directions(40)]))))
    assert found(of, "unit").severity is Severity.FAULT
    assert found(of, "unit").says == f"{of.scale.gravity:.3f} at rest, {said}"
    assert of.scale.gravity == pytest.approx(factor, rel=0.01)
    assert f"divide by {factor:.6g} " in found(of, "unit").do
    assert of.calibration.why_not == "the unit comes first"


def test_gravity_that_no_unit_explains_is_a_fault_unless_calibration_mends_it():
    ways = directions(40)
    lost = quality(file_of(recording(held((60, (0, 0, 1.3), NOISE_G)))))
    assert found(lost, "unit").says == "1.300 at rest, not 0.9 to 1.1 g, and no unit explains it"
    assert found(lost, "unit").severity is Severity.FAULT
    mended = quality(file_of(recording(measured(held(*[(20, way, NOISE_G) for way in ways]), gain=(0.85, 0.85, 0.85)))))
    assert found(mended, "unit").says.endswith("which calibration mends")
    assert found(mended, "unit").severity is Severity.FINE


def test_a_second_of_rest_is_enough_for_the_unit():
    bouts = [bout for _ in range(10) for bout in ((3, UP, NOISE_G), (6, UP, 0.3))]
    assert quality(file_of(recording(held(*bouts)))).scale.gravity == pytest.approx(1, abs=0.01)
    never = quality(file_of(recording(held((60, UP, 0.3)))))
    assert never.scale.gravity is None and found(never, "unit").severity is Severity.UNKNOWN


def test_clipping_is_counted_at_both_ends_and_over_recordings():
    xyz = held((60, UP, 0.3))
    xyz[:, 0] = np.clip(xyz[:, 0], -1.5, 1.5)
    xyz[100:104, 0] = xyz[300, 0] = 2.0
    xyz[500:507, 0] = -2.0
    of = quality(file_of(recording(xyz), recording(xyz, id=1)))
    x, y, z = of.scale.axes
    assert (x.low, x.high, x.clipped, x.longest_run) == (-2, 2, 12 / 1200, 7)
    assert (y.clipped, z.clipped) == (0, 0)
    said = "x is at an end of -2.00 to 2.00 in 1.0 % of the samples, up to 7 in a row: more was to be measured"
    assert found(of, "range").says == said and found(of, "range").severity is Severity.WARNING


def test_the_same_value_again_and_again_is_rest_and_no_clipping():
    of = quality(file_of(recording(np.tile(UP, (2000, 1)))))
    assert [axis.clipped for axis in of.scale.axes] == [0, 0, 0]
    assert "nothing is clipped" in found(of, "range").says


def test_an_axis_that_never_moves_is_a_fault():
    xyz = held((60, UP, 0.1))
    xyz[:, 1] = 0.25
    assert found(quality(file_of(recording(xyz))), "axis").says == "y is 0.25 throughout"


@pytest.mark.parametrize(
    ("step", "severity"), [(0.004, Severity.FINE), (0.0156, Severity.FINE), (0.063, Severity.WARNING)]
)
def test_the_resolution_is_the_smallest_step(step, severity):
    xyz = np.round(held((60, UP, 0.2)) / step) * step
    of = quality(file_of(recording(xyz)))
    assert [axis.step for axis in of.scale.axes] == pytest.approx([step] * 3, abs=1e-5)
    assert found(of, "resolution").severity is severity


def test_what_was_computed_has_no_resolution():
    of = quality(file_of(recording(held((600, UP, 0.2)))))
    assert [axis.step for axis in of.scale.axes] == [None] * 3
    assert "resolution" not in [finding.kind for finding in judge(of)]


# Time


def test_the_true_rate_is_that_of_the_clock_and_a_gap_does_not_change_it():
    t = np.arange(12_000) / 19.6
    t[6000:] += 100
    of = quality(file_of(recording(held((600, UP, 0.1)), t=t)))
    assert of.timing.true_hz == pytest.approx(19.6, abs=1e-3)
    assert (of.timing.gaps, of.timing.longest_gap_s) == (1, pytest.approx(100 + 1 / 19.6, abs=1e-3))
    assert of.timing.missing_s == pytest.approx(100, abs=0.01)
    assert of.timing.slowest_hz == pytest.approx(19.6, abs=0.02) and found(of, "rate").severity is Severity.FINE
    assert found(of, "gaps").says.startswith("14.0 % of the time is missing, in 1 gap, the longest of 1 min 40 s")


def test_a_rate_that_is_not_the_declared_one_or_changes_is_told():
    xyz = held((600, UP, 0.1))
    half = quality(file_of(recording(xyz, hz=10)))
    assert "20 Hz declared, 10.00 Hz by its clock: -50 %" in found(half, "rate").says
    uneven = quality(file_of(recording(xyz, t=np.cumsum(np.where(np.arange(12_000) < 6000, 0.049, 0.051)))))
    assert found(uneven, "rate").says.endswith("from minute to minute: unsteady")
    assert {found(of, "rate").severity for of in (half, uneven)} == {Severity.WARNING}


def test_samples_at_the_same_time_are_counted():
    t = np.floor(np.arange(6000) / HZ)  # times in whole seconds: 19 of 20 repeat
    timing = quality(file_of(recording(held((300, UP, 0.1)), t=t))).timing
    assert timing.repeated == 5700


def test_blocks_do_not_matter(monkeypatch):
    t = np.arange(6000) / HZ
    for at in (999, 1000, 1001, 5999):
        t[at:] += 1
    one = recording(held((300, UP, 0.1)), t=t)
    whole = gaps(one, HZ), timing((one,), [gaps(one, HZ)], HZ, True)
    assert len(whole[0]) == 4
    monkeypatch.setattr(timing_module, "BLOCK", 500)
    blocks = gaps(one, HZ), timing((one,), [gaps(one, HZ)], HZ, True)
    assert np.array_equal(whole[0], blocks[0]) and whole[1] == blocks[1]


def test_what_was_left_out_because_the_clock_ran_backwards_is_passed_on():
    said = "50 samples are left out because its clock ran backwards before them"
    file = file_of(recording(held((60, UP, 0.1))), notices=(f"somewhere/left.cwa: {said}",))
    assert quality(file).notices == (said,)
    assert said in as_html(quality(file)) and "somewhere" not in as_html(quality(file))


# Wear and movement


def test_a_device_on_a_table_is_not_worn():
    of = quality(a_day_with_a_rest())
    (one,) = of.wearing
    ((begin, end),) = one.not_worn
    assert begin == pytest.approx(3600, abs=900) and end == 9600
    assert of.not_worn_s == end - begin and found(of, "wear").says.startswith("not worn for 1 h ")
    assert len(one.worn_mg) == len(one.enmo_mg) - (end - begin) // 60


def test_what_is_missing_is_neither_worn_nor_not():
    xyz = held((3600, UP, 0.1), (12_000, UP, 0.002), hz=2)
    t = np.arange(len(xyz)) / 2
    t[-4000:] += 5000
    of = quality(file_of(recording(xyz, t=t), hz=2))
    (before, after) = of.wearing[0].not_worn
    assert before[1] == pytest.approx(13_599.5) and after == (pytest.approx(18_600), pytest.approx(20_599.5))
    assert of.wearing[0].enmo_mg.count(None) == pytest.approx(5000 / 60, abs=1)
    assert of.timing.missing_s == pytest.approx(5000)


def test_never_still_for_an_hour_is_worn_and_less_than_an_hour_is_not_known():
    worn, short = (quality(file_of(recording(held((s, UP, 0.1), hz=2), hz=2), hz=2)) for s in (7200, 3000))
    assert worn.not_worn_s == 0 and found(worn, "wear").severity is Severity.FINE
    assert short.not_worn_s is None and found(short, "wear").severity is Severity.UNKNOWN


def test_movement_is_what_is_over_one_g_and_calibrated_where_calibration_applies():
    xyz = np.tile([0, 0.6, 0.8], (4800, 1))
    xyz[1200:2400] *= 1.5
    xyz[2400:3600] *= 0.5
    assert quality(file_of(recording(xyz))).wearing[0].enmo_mg == pytest.approx((0, 500, 0, 0), abs=0.1)
    still = held(*[(20, way, 0.0) for way in directions(40)])
    heavy = measured(still, (0.9, 0.9, 0.9), (0, 0, 0))
    assert quality(file_of(recording(heavy))).movement_mg < 1


# Real and long files


def test_a_long_recording_takes_less_memory_than_its_own():
    xyz = np.random.default_rng(0).normal(UP, 0.1, (1_000_000, 3)).astype(np.float32)
    file = file_of(recording(xyz, hz=100), hz=100)
    tracemalloc.start()
    quality(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < xyz.nbytes


def real(name):
    """A file beside the tests, or one that lies beside developers' checkouts."""
    needs = pytest.mark.skipif(not SHARED.is_dir(), reason="more files of devices lie beside developers' checkouts")
    return pytest.param(SHARED / name, marks=needs, id=name)


@pytest.mark.parametrize(
    "path",
    [
        FILES / "geneactiv.bin", FILES / "axivity.cwa", real("actigraph__wristpy_example.gt3x"),
        real("axivity__GGIRread_ax6.cwa"), real("axivity__skdh_ax3_sample.cwa"), real("axivity__skdh_ax6_sample.cwa"),
        real("geneactiv__GGIRread_testfile.bin"), real("geneactiv__pygeneactiv_right_wrist.csv"),
        real("geneactiv__skdh_sample.bin"), real("geneactiv__wristpy_example.bin"),
    ],
)  # fmt: skip
def test_real_files_have_one_g_at_rest_and_are_too_short_to_be_calibrated(path):
    of = quality(*read_dated_device_file(str(path)))
    assert of.scale.gravity is None or of.scale.is_g
    assert of.timing.true_hz == pytest.approx(of.timing.nominal_hz, rel=0.03)
    assert not of.calibration.applies and of.not_worn_s is None
    assert not [finding for finding in judge(of) if finding.severity is Severity.FAULT]
    assert all(axis.step for axis in of.scale.axes) and of.name in as_html(of)
