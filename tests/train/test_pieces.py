"""A window in pieces: spans, what a piece sees, offset and scale in g."""

import numpy as np
import pytest
import torch

from mmvq_train.pieces import POINTS, Layout, Pieces, PieceView, mean_matrix, resampling_matrix, wave_matrix

LAYOUT = Layout(20.0, 200, (0.5, 1.0, 2.0, 4.0, 10.0), (0.5, 1.0, 1.0, 1.0, 1.0))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pieces_start_every_hop_and_are_counted_per_length():
    assert LAYOUT.starts(1) == [20 * i for i in range(10)]
    assert LAYOUT.starts(3) == [0, 20, 40, 60, 80, 100, 120]
    assert LAYOUT.counts == [20, 10, 9, 7, 1]
    assert LAYOUT.tokens == 47


def test_spans_are_in_seconds_with_the_shortest_length_first():
    spans = LAYOUT.spans_s()
    assert spans.shape == (47, 2)
    assert spans[0].tolist() == [0.0, 0.5]
    assert spans[19].tolist() == [9.5, 0.5]
    assert spans[46].tolist() == [0.0, 10.0]


def test_the_last_piece_ends_with_the_window_also_when_the_hop_does_not_divide_it():
    layout = Layout(20.0, 75, (1.0, 2.0), (0.8, 0.7))
    for length in range(2):
        assert layout.starts(length)[-1] + layout.samples(length) == 75
    assert layout.starts(0) == [0, 16, 32, 48, 55]


def test_a_length_beyond_the_window_becomes_the_window():
    layout = Layout(20.0, 30, (1.0, 10.0), (1.0, 1.0))
    assert layout.samples(1) == 30
    assert layout.starts(1) == [0]
    [_, long] = Pieces(layout)(noise(2, 30, 3))
    assert long.shape.shape == (2, 1, 3, POINTS)


@pytest.mark.parametrize("samples", [2, 5, 20, 31, 32, 33, 40, 64, 200])
def test_resampling_weights_sum_to_one_and_are_exact_in_half_precision(samples: int):
    matrix = resampling_matrix(samples)
    assert matrix.shape == (samples, POINTS)
    assert torch.equal(matrix.half().float(), matrix)
    assert torch.equal(matrix.sum(0), torch.ones(POINTS))
    assert float(matrix.min()) >= 0


@pytest.mark.parametrize("samples", [2, 5, 20, 200, 500])
def test_weights_of_the_mean_are_even_sum_to_one_and_are_exact_in_half_precision(samples: int):
    weights = mean_matrix(samples)
    assert torch.equal(weights.half().float(), weights)
    assert weights.sum() == 1
    assert (samples * weights - 1).abs().max() < 2e-3


@pytest.mark.parametrize("samples", [10, 40, 200])
def test_resampling_keeps_a_straight_line_straight(samples: int):
    line = torch.linspace(0, 1, samples) @ resampling_matrix(samples)
    steps = line.diff()
    assert torch.allclose(steps, steps.mean().expand(POINTS - 1), atol=3e-3)


@pytest.mark.parametrize("layout", [LAYOUT, Layout(20.0, 75, (1.0, 2.0), (0.8, 0.7))])
def test_offset_is_the_mean_and_scale_the_deviation_of_the_span_s_points_in_g(layout: Layout):
    x = noise(3, layout.window, 3) * torch.tensor([0.1, 0.5, 2.0]) + torch.tensor([0.0, 1.0, -0.5])
    for length, values in enumerate(Pieces(layout)(x)):
        matrix = resampling_matrix(layout.samples(length))
        for token, inside in enumerate(layout.inside(length)):
            points = x[:, inside].mT @ matrix
            assert torch.allclose(values.offset[:, token], x[:, inside].mean(1), atol=1e-3)  # weights of 11 bits
            assert torch.allclose(values.scale[:, token], points.std(-1, correction=0), atol=1e-5)


def test_shapes_have_no_mean_and_about_unit_deviation_whatever_the_offset_and_scale():
    x = noise(2, 200, 3)
    louder = 3 * x + torch.tensor([0.0, 1.0, -1.0])
    for soft, loud in zip(Pieces(LAYOUT)(x), Pieces(LAYOUT)(louder), strict=True):
        assert soft.shape.mean(-1).abs().max() < 1e-5
        assert ((soft.shape.square().mean(-1).sqrt() - 1).abs() < 0.05).all()
        assert torch.allclose(soft.shape, loud.shape, atol=0.02)


def test_a_quiet_piece_keeps_a_small_shape_instead_of_noise_blown_up():
    [values] = Pieces(Layout(20.0, 40, (2.0,), (2.0,)))(torch.tensor([0.0, 0.0, 1.0]) + 0.001 * noise(1, 40, 3))
    assert values.shape.square().mean(-1).sqrt().max() < 0.1
    assert torch.isfinite(values.shape).all()


def test_a_piece_does_not_see_outside_its_span():
    x = noise(4, 200, 3)
    whole = Pieces(LAYOUT)
    before = whole(x)
    for length in range(5):
        for token, start in enumerate(LAYOUT.starts(length)):
            stop = start + LAYOUT.samples(length)
            changed = noise(4, 200, 3, seed=1)
            changed[:, start:stop] = x[:, start:stop]
            after = whole(changed)[length]
            assert torch.equal(after.shape[:, token], before[length].shape[:, token])
            assert torch.equal(after.offset[:, token], before[length].offset[:, token])
            assert torch.equal(after.scale[:, token], before[length].scale[:, token])


def test_a_piece_sees_the_first_and_the_last_sample_of_its_span():
    layout = Layout(20.0, 60, (1.0,), (1.0,))
    x = noise(1, 60, 3)
    before = Pieces(layout)(x)[0].offset
    for sample, token in ((0, 0), (19, 0), (20, 1), (39, 1), (40, 2), (59, 2)):
        changed = x.clone()
        changed[:, sample] += 1
        moved = (Pieces(layout)(changed)[0].offset - before).abs().amax((0, 2)) > 0.01
        assert np.flatnonzero(moved.numpy()).tolist() == [token]


def test_the_fourth_axis_is_the_magnitude():
    x = torch.tensor([0.3, 0.4, 1.2]).expand(1, 40, 3)
    [values] = Pieces(Layout(20.0, 40, (2.0,), (2.0,), axes=4))(x)
    assert torch.allclose(values.offset[0, 0], torch.tensor([0.3, 0.4, 1.2, 1.3]), atol=1e-5)


TWICE: tuple[PieceView, ...] = ("axes", "axes", "gravity", "gravity", "rhythm", "rhythm")
VIEWS = Layout(20.0, 200, (1.0, 4.0) * 3, (1.0, 2.0) * 3, views=TWICE)


def test_views_stand_one_after_the_other_and_each_alone_is_what_it_is_in_the_whole():
    x = noise(2, 200, 3) * 0.3 + 0.5
    assert VIEWS.part == [0, 0, 1, 1, 2, 2]
    whole = Pieces(VIEWS)(x)
    alone = [piece for part in VIEWS.parts() for piece in Pieces(part)(x)]
    for one, other in zip(whole, alone, strict=True):
        torch.testing.assert_close(one.shape, other.shape, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.scale, other.scale, atol=1e-7, rtol=0)
    plain = Pieces(Layout(20.0, 200, (1.0, 4.0), (1.0, 2.0)))(x)
    torch.testing.assert_close(whole[1].shape, plain[1].shape, atol=1e-6, rtol=0)


def test_the_view_of_gravity_is_the_same_however_the_watch_is_turned():
    x = noise(3, 200, 3) * 0.3 + torch.tensor([0.2, -0.4, 0.9])
    turn, _ = torch.linalg.qr(noise(3, 3, seed=1))
    _, _, *own = Pieces(VIEWS)(x)
    _, _, *turned = Pieces(VIEWS)(x @ turn)
    for one, other in zip(own[:2], turned[:2], strict=True):
        torch.testing.assert_close(one.shape, other.shape, atol=1e-3, rtol=0)
        torch.testing.assert_close(one.offset, other.offset, atol=1e-5, rtol=0)
    assert not torch.allclose(own[2].shape, turned[2].shape, atol=0.1)  # the axes' spectra are not


def test_curves_by_gravity_of_a_swing_along_and_one_across_it():
    t = torch.arange(200) / 20
    wave = 0.2 * torch.sin(2 * torch.pi * t)
    along = torch.stack([torch.zeros(200), torch.zeros(200), 1 + wave], dim=1)
    across = torch.stack([wave, torch.zeros(200), torch.ones(200)], dim=1)
    by_gravity = Pieces(VIEWS.parts()[1])
    first, second = (by_gravity(x[None])[1] for x in (along, across))
    torch.testing.assert_close(first.offset[0, 0], torch.tensor([1.0, 0.0, 1.0]), atol=2e-3, rtol=0)
    torch.testing.assert_close(first.scale[0, 0], torch.tensor([0.1414, 0.0, 0.1414]), atol=5e-3, rtol=0)
    # Across, the distance from the vertical swings: |sin| has mean 2/π and deviation √(1/2 − 4/π²), of which a tenth
    # goes with its dips, two and a half samples being a point.
    torch.testing.assert_close(second.offset[0, 0, :2], torch.tensor([1.0, 0.2 * 0.6366]), atol=3e-3, rtol=0)
    torch.testing.assert_close(second.scale[0, 0, :2], torch.tensor([0.0, 0.2 * 0.3078]), atol=7e-3, rtol=0)


@pytest.mark.parametrize("hertz", [0.75, 2.75, 5.5])
def test_the_view_of_rhythm_peaks_at_the_frequency_whenever_in_the_piece_it_comes(hertz: float):
    rhythm = Pieces(VIEWS.parts()[2])
    t = torch.arange(200) / 20
    waves = [0.3 * torch.sin(2 * torch.pi * hertz * (t + late)) for late in (0.0, 0.3)]
    first, later = (rhythm(wave[None, :, None].expand(-1, -1, 3))[1].shape[0, 0, 0] for wave in waves)
    torch.testing.assert_close(first, later, atol=0.02, rtol=0)
    assert np.linspace(0.25, 6.0, POINTS)[first.argmax()] == pytest.approx(hertz, abs=0.1)  # pieces of 4 s
    assert first.mean().abs() < 1e-5


def test_rhythm_goes_up_to_half_the_rate_where_that_is_less():
    slow = Pieces(Layout(8.0, 80, (10.0,), (10.0,), views=("rhythm",)))
    wave = torch.sin(2 * torch.pi * 3.9 * torch.arange(80) / 8)[None, :, None].expand(-1, -1, 3)
    assert np.linspace(0.1, 4.0, POINTS)[slow(wave)[0].shape[0, 0, 0].argmax()] == pytest.approx(3.9, abs=0.07)


@pytest.mark.parametrize("samples", [10, 20, 80])
def test_of_white_noise_every_frequency_has_its_variance(samples: int):
    waves = wave_matrix(samples, 20.0).flatten(1)
    power = (noise(20000, samples, seed=2) @ waves).unflatten(-1, (2, -1)).square().sum(1).mean(0).numpy()
    hertz = np.linspace(20 / samples, 6.0, POINTS)
    assert power[hertz > 3 * 20 / samples] == pytest.approx(1, abs=0.05)  # seven deviations
    assert power.min() > 0.8 and power.max() < 1.05  # the slowest wave has a mean, which is taken off


def test_rhythm_has_no_part_in_gravity_and_its_scale_is_of_what_swings():
    rhythm = Pieces(VIEWS.parts()[2])
    still = torch.tensor([0.2, -0.4, 0.9]).expand(1, 200, 3)
    for values in rhythm(still):
        torch.testing.assert_close(values.offset, still[:, :1].expand_as(values.offset), atol=1e-6, rtol=0)
        assert values.scale.max() < 5e-4
        assert values.shape.abs().max() < 0.05
    shaken = [values.scale for values in rhythm(still + 0.3 * noise(1, 200, 3))]
    assert torch.cat(shaken, dim=1).mean() == pytest.approx(0.3, abs=0.03)


def test_a_quiet_piece_has_a_flat_rhythm():
    quiet, loud = (Pieces(VIEWS.parts()[2])(size * noise(1, 200, 3))[1].shape.abs().max() for size in (0.001, 0.1))
    assert quiet < 0.1 * loud


def test_views_that_look_at_other_pieces_are_refused():
    with pytest.raises(ValueError, match="same pieces"):
        Pieces(Layout(20.0, 200, (1.0, 4.0), (1.0, 2.0), views=("axes", "rhythm")))
