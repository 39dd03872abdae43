import math
from itertools import islice

import numpy as np
import pytest

from mmvq_bridge.synthetic import motion


def whole(seconds: float, rate_hz: float = 50.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(motion(seconds, rate_hz, seed))
    return np.concatenate([t for t, _ in blocks]), np.concatenate([xyz for _, xyz in blocks])


def bouts(seed: int = 1) -> list[np.ndarray]:
    """A bout of rest, walking, hand activity and jogging, without their turns, at 50 Hz."""
    return [xyz[75:-75] for _, xyz in islice(motion(math.inf, 50.0, seed), 4)]


def test_samples_lie_a_period_apart_for_as_long_as_was_asked() -> None:
    t, xyz = whole(300.0)
    np.testing.assert_array_equal(t, np.arange(15_000) / 50)
    assert xyz.shape == (15_000, 3)
    assert len(whole(0.001)[0]) == 1


def test_the_same_seed_moves_the_same_and_a_longer_movement_begins_as_a_shorter_one() -> None:
    _, long = whole(300.0)
    _, short = whole(100.0)
    np.testing.assert_array_equal(long[:5000], short)
    assert not np.array_equal(whole(100.0, seed=2)[1], short)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_leaves_the_range_of_a_device_and_nothing_jumps(seed: int) -> None:
    _, xyz = whole(600.0, 100.0, seed)
    assert np.abs(xyz).max() < 5
    # Jogging with harmonics to 8.7 Hz and .2 g moves by less in 10 ms.
    assert np.abs(np.diff(xyz, axis=0)).max() < 0.5


def test_it_goes_on_without_end_a_bout_at_a_time() -> None:
    endless = motion(math.inf, 100.0, 3)
    lengths = [len(t) for t, _ in islice(endless, 200)]
    assert all(1500 <= n <= 4000 for n in lengths)
    t, _ = next(endless)
    assert t[0] == pytest.approx(sum(lengths) / 100)


@pytest.mark.parametrize("seed", range(5))
def test_rest_is_gravity_and_noise_and_the_others_move_each_at_its_pace(seed: int) -> None:
    rest, walking, hand, jogging = bouts(seed)
    np.testing.assert_allclose(np.linalg.norm(rest.mean(axis=0)), 1.0, atol=0.01)
    assert rest.std(axis=0).max() < 0.006
    assert rest.std(axis=0).max() < hand.std(axis=0).max()
    assert walking.std(axis=0).max() < jogging.std(axis=0).max()

    def pace(xyz: np.ndarray) -> float:
        """The strongest frequency of movement along gravity."""
        down = xyz.mean(axis=0) / np.linalg.norm(xyz.mean(axis=0))
        along = xyz @ down
        spectrum = np.abs(np.fft.rfft((along - along.mean()) * np.hanning(len(along))))
        return float(np.fft.rfftfreq(len(along), 1 / 50)[spectrum.argmax()])

    assert 1.75 < pace(walking) < 2.05
    assert 2.45 < pace(jogging) < 2.95
