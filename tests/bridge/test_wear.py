import numpy as np
import pytest

from mmvq_bridge.wear import WearDetector, Worn

HZ = 10
UPRIGHT = (0.0, 0.0, 1.0)  # g


def wearing(*bouts, chunk=37, seed=0):
    """Verdicts over bouts of (minutes, deviation in g, °C or None); a temperature comes every 5 s."""
    rng = np.random.default_rng(seed)
    detector, told, at = WearDetector(), [], 0
    for minutes, moved, celsius in bouts:
        n = round(minutes * 60 * HZ)
        t = (at + np.arange(n)) / HZ
        xyz = rng.normal(UPRIGHT, moved, (n, 3))
        warmth = np.interp(np.arange(n), [0, n], celsius) if isinstance(celsius, tuple) else np.full(n, celsius)
        for first in range(0, n, chunk):
            if celsius is not None and first % 50 < chunk:
                detector.feel(float(warmth[first]))
            told += detector.push(t[first : first + chunk], xyz[first : first + chunk])
        at += n
    return told


@pytest.mark.parametrize(
    ("why", "bouts", "expected"),
    [
        ("still for an hour without a temperature", [(10, 0.1, None), (80, 0.002, None), (5, 0.1, None)],
         [Worn(False, 75 * 60, 15 * 60), Worn(True, 91 * 60, 90 * 60)]),
        ("still for less than an hour may be sleep", [(10, 0.1, None), (55, 0.002, None), (30, 0.1, None)], []),
        ("still and cool for five minutes", [(10, 0.1, 31.0), (8, 0.002, 22.0)], [Worn(False, 15 * 60, 10 * 60)]),
        ("still and warm is a sleeper's wrist", [(10, 0.1, 31.0), (50, 0.002, 31.0)], []),
        ("still and cooling fast, though not yet cool", [(10, 0.1, 31.0), (8, 0.002, (29.5, 26.5))],
         [Worn(False, 15 * 60, 10 * 60)]),
        ("carried about cool it stays not worn; put on and warm, it is worn",
         [(6, 0.002, 20.0), (5, 0.2, 20.0), (5, 0.2, (20.0, 30.0))],
         [Worn(False, 5 * 60, 0.0), Worn(True, 12 * 60, 11 * 60)]),
        ("a board without a sensor sends 0, which is no cold", [(30, 0.002, 0.0)], []),
        ("worn and moving in the cold", [(40, 0.1, 15.0)], []),
    ],
)  # fmt: skip
def test_worn_or_not(why, bouts, expected):
    assert wearing(*bouts) == expected, why


def test_one_axis_may_hum():
    rng = np.random.default_rng(0)
    xyz = rng.normal(UPRIGHT, 0.002, (70 * 60 * HZ, 3))
    xyz[:, 1] += rng.normal(0, 0.1, len(xyz))
    assert WearDetector().push(np.arange(len(xyz)) / HZ, xyz)[0].worn is False
    xyz[:, 0] += rng.normal(0, 0.1, len(xyz))
    assert WearDetector().push(np.arange(len(xyz)) / HZ, xyz) == []


def test_chunks_do_not_matter():
    bouts = [(10, 0.1, None), (80, 0.002, None), (5, 0.1, None)]
    assert wearing(*bouts, chunk=1) == wearing(*bouts, chunk=5000)


def test_nothing_is_known_across_a_gap():
    still = np.tile(UPRIGHT, (40 * 60 * HZ, 1))
    t = np.arange(len(still)) / HZ
    detector = WearDetector()
    assert detector.push(t, still) + detector.push(t + t[-1] + 30, still) == []
    assert [worn.worn for worn in detector.push(t + 2 * t[-1] + 30.1, still)] == [False]


def test_a_gap_inside_a_block_is_a_gap_and_half_a_minute_is_none():
    still = np.tile(UPRIGHT, (70 * 60 * HZ, 1))
    t = 30 + np.arange(len(still)) / HZ
    assert [worn.onset for worn in WearDetector().push(t, still)] == [60]
    t[40 * 60 * HZ :] += 20
    assert WearDetector().push(t, still) == []
