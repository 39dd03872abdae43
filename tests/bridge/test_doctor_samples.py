import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doctor_devices import FAULT, FINE, FLAT, UNKNOWN, WARNING, found, heard_of, moving, still, wrong

from mmvq_bridge.device import Block
from mmvq_bridge.findings import Finding, Severity
from mmvq_bridge.frames import Frame, Hello, encode


def sampled(change: Callable[[np.ndarray], np.ndarray], block: Callable[[float], Block] = moving) -> dict[str, Finding]:
    """Findings of a device whose samples, in g, are changed so."""
    t, xyz = block(60.0)
    return found(heard_of((t, change(xyz))))


@pytest.mark.parametrize("block", [still, moving], ids=["still", "moving"])
def test_a_dead_axis_is_told(block: Callable[[float], Block]) -> None:
    findings = sampled(lambda xyz: xyz * [1, 0, 1], block)
    assert findings["dead"].severity is FAULT
    assert findings["dead"].says == "y never changed in 3,000 samples: always 0"
    assert wrong(findings) == {"dead"}


def test_a_sensor_that_is_not_read_again_is_told() -> None:
    findings = sampled(lambda xyz: 0 * xyz + np.array(FLAT))
    assert findings["dead"].says == "x and y and z never changed in 3,000 samples: always 82, -123, 4137"
    assert wrong(findings) == {"dead"}


def test_a_coarse_sensor_at_rest_may_stand_still() -> None:
    findings = sampled(lambda xyz: np.rint(xyz * 16) / 16, lambda s: still(s, posture=(0.03, 0.0, 1.0)))
    assert findings["dead"].severity is WARNING
    assert "move the device" in findings["dead"].do


@pytest.mark.parametrize("block", [still, moving], ids=["still", "moving"])
@pytest.mark.parametrize(
    ("mix", "says"),
    [([0, 1, 1], "y is the same as z in all 3,000 samples"), ([0, 0, 2], "x is the same as y")],
)
def test_two_axes_that_are_the_same_are_told(block: Callable[[float], Block], mix: list[int], says: str) -> None:
    findings = sampled(lambda xyz: xyz[:, mix], block)
    assert says in findings["equal"].says
    assert wrong(findings) == {"equal"}


def test_an_axis_that_is_the_opposite_of_another_is_told() -> None:
    assert "x is the opposite of y" in sampled(lambda xyz: xyz[:, [0, 0, 2]] * [1, -1, 1])["equal"].says


@pytest.mark.parametrize("block", [still, moving], ids=["still", "moving"])
def test_swapped_bytes_are_told_and_nothing_else_is_said_of_such_samples(block: Callable[[float], Block]) -> None:
    def swap(xyz: np.ndarray) -> np.ndarray:
        return np.rint(xyz * 4096).astype(np.int16).byteswap() / 4096

    findings = sampled(swap, block)
    assert findings["byte_order"].severity is FAULT
    assert "wrong byte order" in findings["byte_order"].says
    assert wrong(findings) == {"byte_order"}
    assert "gravity" not in findings


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("block", [still, moving], ids=["still", "moving"])
def test_samples_at_the_left_of_their_words_are_no_swapped_bytes(block: Callable[[float], Block], bits: int) -> None:
    step = 2 ** (16 - bits) / 4096
    findings = sampled(lambda xyz: np.floor(xyz / step) * step, block)
    assert "byte_order" not in findings
    assert f"smallest step {2 ** (16 - bits)} counts" in findings["resolution"].says
    assert f": {bits} bits in words of 16" in findings["resolution"].says
    assert ("resolution" in wrong(findings)) == (bits <= 10)


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (2.0, "2.0"), (4.0, "is off by 4"), (8.2, "or more, as samples are at the end of the range"),
        (0.5, "is off by 2"), (1 / 8, "is off by 8"), (1 / 16, "is off by 16"), (9.80665 * 0.8, "g at rest"),
        (1.5, "no usual factor fits"),
    ],
)  # fmt: skip
def test_a_wrong_scale_is_told_with_the_factor_that_fits(factor: float, says: str) -> None:
    findings = sampled(lambda xyz: factor * xyz, still)
    assert wrong(findings) <= {"gravity", "clipping"}
    assert findings["gravity"].severity is FAULT
    assert says in findings["gravity"].says


@pytest.mark.parametrize(("counts_per_g", "says"), [(256, "m/s² instead of g"), (16, "mg instead of g")])
def test_other_units_on_the_wire_are_named(counts_per_g: int, says: str) -> None:
    unit = {256: 9.80665 * 256, 16: 1000 * 16}[counts_per_g]

    def other(frame: Frame) -> bytes:
        return encode(replace(frame, counts_per_g=counts_per_g) if isinstance(frame, Hello) else frame)

    t, xyz = still(20)
    findings = found(heard_of((t, xyz * unit / 4096), firmware=other))
    assert says in findings["gravity"].says
    assert f"counts are a g where HELLO says {counts_per_g}" in findings["gravity"].do


def test_small_offsets_of_a_sensor_are_fine_and_gravity_that_is_gone_is_not() -> None:
    assert not wrong(sampled(lambda xyz: xyz + np.array([0.05, -0.05, 0.06]), still))
    assert "linear acceleration" in sampled(lambda xyz: xyz - np.array(FLAT), still)["gravity"].says


def test_scale_and_noise_of_a_device_that_never_rests_are_unknown() -> None:
    t, xyz = moving(200)
    findings = found(heard_of((t[:1000], xyz[-1000:])))
    assert not wrong(findings)
    assert findings["gravity"].severity is UNKNOWN
    assert "never lay still" in findings["gravity"].says


def test_noise_at_rest_is_told_and_a_scale_does_not_change_it() -> None:
    noisy = still(30, noise_g=0.03)
    findings = found(heard_of(noisy))
    assert wrong(findings) == {"noise"}
    assert 20 < float(findings["noise"].says.split()[0]) < 40
    assert found(heard_of(noisy, "scale=2"))["noise"].severity is WARNING
    assert found(heard_of(still(30), "scale=4"))["noise"].severity is FINE


def test_peaks_that_are_cut_off_are_told() -> None:
    findings = sampled(lambda xyz: np.clip(xyz, -2, 2 - 1 / 4096), lambda s: moving(4 * s))
    assert wrong(findings) == {"clipping"}
    assert "cut off at ±2 g; 0 frames flagged for it" in findings["clipping"].says
    assert "set flag 2" in findings["clipping"].do
    flagged = sampled(lambda xyz: 4 * xyz, lambda s: moving(4 * s))["clipping"]
    assert "cut off at ±8 g" in flagged.says
    assert "set flag 2" not in flagged.do


def test_samples_read_faster_than_they_are_measured_are_told() -> None:
    findings = sampled(lambda xyz: np.repeat(xyz[::2], 2, axis=0))
    assert wrong(findings) == {"repeated"}
    assert "50.0 % of samples" in findings["repeated"].says


@pytest.mark.parametrize(
    ("posture", "up", "severity", "says"),
    [
        (FLAT, "z", FINE, "z points up and measures gravity"),
        ((0.02, -0.03, -0.99), "-z", FINE, "-z points up"),
        ((0.0, 1.0, 0.1), "y", FINE, "y points up"),
        (FLAT, "-z", FAULT, "the axis is flipped"),
        ((0.02, -0.03, -0.99), "z", FAULT, "-z measures gravity"),
        ((1.0, 0.0, 0.1), "z", FAULT, "x measures gravity (x +1.00, y +0.00, z +0.10): axes are swapped"),
        ((0.7, 0.0, 0.7), "z", UNKNOWN, "gravity lies between axes"),
    ],
)
def test_with_up_it_is_told_which_axis_measures_gravity(
    posture: tuple[float, ...], up: str, severity: Severity, says: str
) -> None:
    findings = found(heard_of(still(15, posture=posture)), up=up)
    assert findings["up"].severity is severity
    assert says in findings["up"].says


def test_with_up_a_device_that_moves_is_asked_to_lie_down() -> None:
    t, xyz = moving(200)
    findings = found(heard_of((t[:1000], xyz[-1000:])), up="z")
    assert "up" not in findings
    assert "with the axis of --up pointing up" in findings["gravity"].do
