"""The codebook alone: nearest codes, how they follow, how they are revived."""

import math

import pytest
import torch

from mmvq_train.codebook.quantiser import DECAY, Codebook, closeness, nearest, perplexity, two_nearest


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ready(codes: torch.Tensor) -> Codebook:
    """A codebook that holds these codes."""
    book = Codebook(*codes.shape)
    book.codes.copy_(codes)
    book.total.copy_(codes)
    book.ready.fill_(True)
    return book


def test_nearest_is_the_code_at_the_smallest_distance():
    z, codes = noise(7, 9, 5), noise(11, 5, seed=1)
    assert torch.equal(nearest(z, codes), torch.cdist(z, codes.expand(7, 11, 5)).argmin(-1))


def test_quantising_gives_the_nearest_code_and_its_mean_squared_distance():
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    out = ready(codes).eval()(torch.tensor([[0.1, 0.0], [1.0, 0.6]]))
    assert out.codes.tolist() == [0, 1]
    assert torch.allclose(out.z, codes)
    assert float(out.commitment) == pytest.approx((0.01 + 0.16) / 4)


def test_the_gradient_passes_straight_through():
    z = noise(6, 3).requires_grad_()
    (ready(noise(4, 3, seed=1)).eval()(z).z * noise(6, 3, seed=2)).sum().backward()
    assert torch.allclose(z.grad, noise(6, 3, seed=2))


def test_the_first_batch_sets_codes_to_the_centres_of_clusters():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    points = (centres.repeat(50, 1) + 0.1 * noise(200, 2))[order]
    torch.manual_seed(0)
    book = Codebook(16, 2).train()
    book(points)
    assert bool(book.ready)
    assert torch.cdist(points, book.codes).min(1).values.max() < 0.5


def test_more_codes_than_points_to_start_from_still_start():
    book = Codebook(16, 2).train()
    book(noise(5, 2))
    assert torch.isfinite(book.codes).all()


def test_codes_follow_what_falls_on_them_by_a_moving_average():
    codes = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    book = ready(codes).train()
    points = torch.tensor([[1.0, 0.0], [9.0, 10.0]])
    book(points)
    # count stays 1 under an even use, so a code moves by 1 − DECAY of its distance to the mean of its points.
    assert torch.allclose(book.codes, DECAY * codes + (1 - DECAY) * points, atol=1e-5)


def test_codes_stand_still_in_evaluation():
    book = ready(noise(4, 3)).eval()
    book(noise(50, 3, seed=1))
    assert torch.equal(book.codes, noise(4, 3))


def test_a_code_that_nothing_falls_on_is_revived_on_a_present_vector():
    book = ready(torch.tensor([[0.0, 0.0], [100.0, 100.0]])).train()
    points = 0.1 * noise(64, 2)
    for _ in range(200):
        book(points)
        if book.codes[1].norm() < 5:
            break
    assert torch.cdist(book.codes[1:], points).min() < 0.1
    assert set(book.eval()(points).codes.tolist()) == {0, 1}


def test_margins_on_values_worked_out_by_hand():
    codes = torch.tensor([[0.0], [4.0]])
    z = torch.tensor([[0.0], [1.0], [2.0], [7.0]])
    # Distances (0, 4), (1, 3), (2, 2), (7, 3).
    first, margins = two_nearest(z, closeness(z, codes))
    assert first.tolist()[:2] + first.tolist()[3:] == [0, 0, 1]
    assert margins.tolist() == pytest.approx([1.0, 0.5, 0.0, 0.4], abs=1e-5)


def test_margins_lie_between_0_and_1_and_come_with_the_nearest():
    z, codes = noise(500, 6), noise(20, 6, seed=1)
    first, margins = two_nearest(z, closeness(z, codes))
    assert torch.equal(first, nearest(z, codes))
    assert 0 <= float(margins.min()) <= float(margins.max()) <= 1


def test_perplexity_is_the_number_of_codes_if_all_are_used_alike():
    assert perplexity(torch.arange(8).repeat(3), 32) == pytest.approx(8.0)
    assert perplexity(torch.zeros(9, dtype=torch.long), 32) == pytest.approx(1.0)
    entropy = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert perplexity(torch.tensor([0, 0, 0, 1]), 2) == pytest.approx(math.exp(entropy))
