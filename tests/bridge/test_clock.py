import numpy as np
import pytest

from mmvq_bridge.stream.clock import ClockModel


def heard(seconds, ppm=0.0, jitter_s=0.0, bursts=(), seed=0, hz=10.0):
    """A model that heard frames at `hz`; its errors (s) after each, of device time on the host's clock."""
    rng = np.random.default_rng(seed)
    clock, errors, last = ClockModel(), [], 0.0
    for i in range(int(seconds * hz)):
        true = 1000 + i / hz
        arrival = true + rng.uniform(0, jitter_s)
        for begin, end in bursts:
            if begin <= i / hz < end:
                arrival = max(arrival, 1000 + end)  # all that was held back comes at once
        last = max(last, arrival)
        device = 50 + (i / hz) * (1 + ppm * 1e-6)
        clock.push(device, last)
        errors.append(clock.host(device) - true)
    return clock, np.array(errors)


@pytest.mark.parametrize("ppm", [-500, 0, 500])
def test_after_a_minute_of_jitter_sample_times_are_known_within_ten_milliseconds(ppm):
    for seed in range(5):
        _, errors = heard(300, ppm, 0.05, seed=seed)
        assert np.abs(errors[600:]).max() < 0.01


def test_the_rate_is_found_within_its_own_uncertainty():
    clock, _ = heard(300, 500, 0.05)
    assert abs(1 / clock.rate - 1 - 500e-6) < 4 * clock.error
    assert clock.error < 10e-6


def test_bursts_that_hold_everything_back_for_seconds_move_nothing():
    _, errors = heard(300, 200, 0.01, bursts=[(90, 93), (120, 120.5), (200, 208)])
    assert np.abs(errors[600:]).max() < 0.01


def test_a_line_without_jitter_is_followed_exactly():
    clock, errors = heard(60, -300)
    assert np.abs(errors[-100:]).max() < 1e-6
    assert clock.device(clock.host(123.0)) == pytest.approx(123.0, abs=1e-9)


def test_before_anything_is_known_the_clocks_run_alike():
    clock = ClockModel()
    with pytest.raises(ValueError, match="nothing was heard"):
        clock.host(0)
    clock.push(10, 500)
    assert (clock.host(11), clock.rate, clock.error) == (501, 1.0, float("inf"))


def test_a_pause_of_hours_does_not_unsettle_it():
    clock, _ = heard(120, 100, 0.02)
    device = 50 + 7200 * (1 + 100e-6)
    clock.push(device, 1000 + 7200)
    assert clock.host(device) == pytest.approx(8200, abs=0.5)


def test_bytes_that_were_kept_somewhere_and_come_in_one_go_tell_nothing():
    clock = ClockModel()
    for i in range(1000):
        clock.push(i / 10, 500 + i / 1e5)
    assert (clock.rate, clock.error) == (1.0, float("inf"))
    assert clock.device(clock.host(3.0)) == pytest.approx(3.0)
