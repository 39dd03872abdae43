"""VQShape's net and losses: formulas on values worked out by hand, and who gets which gradient."""

import math
from dataclasses import replace

import pytest
import torch

from mmvq_bridge.command import BadInput
from mmvq_train.vqshape.config import Recipe, VQShapeConfig, config_from
from mmvq_train.vqshape.drawing import draw, jacobian
from mmvq_train.vqshape.layers import AttributeDecoder, ShapeDecoder
from mmvq_train.vqshape.losses import code_entropy, commitment, position_diversity, rebuilding, vqshape_losses
from mmvq_train.vqshape.model import VQShape, token_values
from mmvq_train.vqshape.quantiser import GradientCodebook, Quantised
from mmvq_train.vqshape.series import crop, hidden_samples, interpolate, level_of, level_of_kept, random_keep

TINY = VQShapeConfig(
    samples=64, patch=8, tokens=8, width=16, heads=2, encoder_layers=1, tokenizer_layers=1, decoder_layers=1,
    codes=6, code_dim=3, points=16,
)  # fmt: skip
PLAIN = Recipe(weight_x=0.0, weight_z=0.0, weight_s=0.0, weight_div=0.0)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def net(config: VQShapeConfig = TINY) -> VQShape:
    """An untrained net whose codes lie as far apart as its z."""
    torch.manual_seed(0)
    model = VQShape(config).eval()
    torch.nn.init.normal_(model.book.codes, std=0.2)
    return model


# Configuration


@pytest.mark.parametrize(("width", "millions"), [(256, 9.5), (512, 37.1)])
def test_the_published_nets_have_the_published_number_of_weights(width: int, millions: float):
    with torch.device("meta"):
        model = VQShape(VQShapeConfig(width=width))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"heads": 3}, "--heads must divide --width"),
        ({"patch": 7}, "--patch must divide"),
        ({"tokens": 7}, "--tokens must divide"),
        ({"points": 20}, "--points must be a multiple of 16"),
        ({"smoothing": 2}, "--smoothing must be odd"),
        ({"codes": 1}, "--codes 1 lies outside 2 to 8192"),
        ({"width": 16.0}, "--width is '16.0'"),
        ({"length": "long"}, "--length is 'long'"),
        ({"codes": True}, "--codes is 'True'"),
        ({"dropout": float("nan")}, "--dropout nan lies outside"),
    ],
)
def test_a_net_that_cannot_be_is_refused_by_the_name_of_its_option(change: dict, option: str):
    with pytest.raises(BadInput, match=option):
        replace(TINY, **change).check()


@pytest.mark.parametrize("values", [None, [], {}, {"width": 16}, 3])
def test_a_model_file_with_another_configuration_is_refused(values: object):
    with pytest.raises(BadInput, match="other keys"):
        config_from(values)


def test_a_recipe_whose_rate_would_end_above_its_height_is_refused():
    with pytest.raises(BadInput, match="--final-rate must be at most"):
        Recipe(final_rate=0.1).check()


# Series


def test_interpolation_is_linear_and_keeps_both_ends():
    x = torch.tensor([[0.0, 1.0, 4.0]])
    assert interpolate(x, 5).tolist() == [[0.0, 0.5, 1.0, 2.5, 4.0]]
    assert interpolate(torch.zeros(2, 3, 7), 5).shape == (2, 3, 5)


def test_a_crop_is_the_series_between_t_and_t_plus_length():
    ramp = torch.linspace(0, 1, 65)[None]
    t, length = torch.tensor([[0.25, 0.0]]), torch.tensor([[0.5, 1.0]])
    assert torch.allclose(crop(ramp, t, length, 5)[0, 0], torch.tensor([0.25, 0.375, 0.5, 0.625, 0.75]), atol=1e-6)
    assert torch.allclose(crop(ramp, t, length, 65)[0, 1], ramp[0], atol=1e-6)


def test_a_crop_that_would_end_past_the_series_ends_with_it():
    ramp = torch.linspace(0, 1, 65)[None]
    piece = crop(ramp, torch.tensor([[0.5]]), torch.tensor([[0.6]]), 3)
    assert torch.allclose(piece, torch.tensor([[[0.5, 0.75, 1.0]]]), atol=1e-6)


def test_smoothing_averages_neighbouring_points_and_repeats_the_ends():
    x = torch.tensor([[0.0, 3.0, 6.0, 0.0]])
    whole = torch.zeros(1, 1), torch.ones(1, 1)
    assert torch.allclose(crop(x, *whole, 4, smoothing=3), torch.tensor([[[1.0, 3.0, 3.0, 2.0]]]), atol=1e-6)


def test_a_share_of_the_patches_is_dropped_and_the_rest_keeps_its_order():
    keep = random_keep(50, 64, 0.25)
    assert keep.shape == (50, 48)
    assert (keep.diff(dim=1) > 0).all()
    assert len({tuple(row) for row in keep.tolist()}) > 40, "each series has a mask of its own"
    hidden = hidden_samples(keep, 64, 8)
    assert hidden.shape == (50, 512)
    assert hidden.sum(1).tolist() == [128] * 50


def test_the_level_of_kept_patches_is_that_of_their_samples_alone():
    x = noise(2, 64)
    keep = torch.tensor([[0, 3], [1, 7]])
    seen = torch.stack([torch.cat([x[0, :8], x[0, 24:32]]), torch.cat([x[1, 8:16], x[1, 56:]])])
    for found, wanted in zip(level_of_kept(x, keep, 8), level_of(seen), strict=True):
        assert torch.allclose(found, wanted)


# The net


@pytest.mark.parametrize("logits", [(-90.0, -90.0), (-90.0, 90.0), (90.0, -90.0), (90.0, 90.0), (0.0, 0.0)])
@pytest.mark.parametrize("form", ["published", "inside"])
def test_no_shape_is_shorter_than_the_shortest_and_inside_ones_end_with_the_series(logits, form):
    decoder = AttributeDecoder(replace(TINY, length=form))
    with torch.no_grad():
        decoder.place[-1].weight.zero_()
        decoder.place[-1].bias.copy_(torch.tensor(logits))
        found = decoder(noise(4, 8, 16))
    assert (found.length >= 1 / 64).all()
    assert (found.t >= 0).all() and (found.t <= 63 / 64).all()
    # The published form can end past the series, by 1/64 at most: sig(b)(1 − t) + 1/64 + t ≤ 1 + 1/64.
    assert float((found.t + found.length).max()) <= (1 if form == "inside" else 1 + 1 / 64) + 1e-6
    assert (found.sigma > 0).all()


def test_attributes_follow_their_formulas():
    decoder = AttributeDecoder(TINY)
    with torch.no_grad():
        decoder.place[-1].weight.zero_()
        decoder.place[-1].bias.copy_(torch.tensor([math.log(3), 0.0]))  # sigmoids .75 and .5
        found = decoder(noise(1, 8, 16))
    t = 0.75 * (1 - 1 / 64)
    assert found.t.flatten().tolist() == pytest.approx([t] * 8)
    assert found.length.flatten().tolist() == pytest.approx([0.5 * (1 - t) + 1 / 64] * 8)


def test_shapes_have_mean_0_and_deviation_1_and_tokens_the_order_z_t_l_mu_sigma():
    model = net()
    shapes = model.code_shapes()
    assert shapes.shape == (6, 16)
    assert shapes.mean(-1).abs().max() < 1e-5
    assert torch.allclose(shapes.std(-1), torch.ones(6), atol=1e-4)
    attributes, quantised = model.tokens(noise(2, 64))
    rest = attributes.t, attributes.length, attributes.mu, attributes.sigma
    values = token_values(attributes, quantised)
    assert torch.equal(values, torch.cat([quantised.z, torch.stack(rest, -1)], -1))


def test_a_shape_is_its_codes_drawing_scaled_by_sigma_and_by_the_series():
    model, x = net(), 3 * noise(2, 64) + 5
    with torch.no_grad():
        out = model(x)
    drawn = model.code_shapes()[out.quantised.codes]
    expected = drawn * out.attributes.sigma[..., None] + out.attributes.mu[..., None]
    expected = expected * out.level.deviation[..., None] + out.level.mean[..., None]
    assert torch.allclose(out.shapes, expected, atol=1e-5)


def test_what_is_rebuilt_follows_the_series_offset_and_scale():
    model, x = net(), noise(3, 64)
    with torch.no_grad():
        plain, moved = model(x), model(10 * x - 4)
    assert torch.equal(plain.quantised.codes, moved.quantised.codes)
    assert torch.allclose(10 * plain.series - 4, moved.series, atol=1e-3)


@torch.no_grad()
def test_the_encoder_does_not_see_dropped_patches():
    model, x = net(), noise(4, 64)
    keep = random_keep(4, 8, 0.25)
    hidden = hidden_samples(keep, 8, 8)
    other = torch.where(hidden, 100 * noise(4, 64, seed=1), x)
    assert torch.equal(model.tokens(x, keep)[0].z, model.tokens(other, keep)[0].z)
    seen = torch.where(hidden, x, x + 1.0 * noise(4, 64, seed=2))
    assert not torch.allclose(model.tokens(x, keep)[0].z, model.tokens(seen, keep)[0].z)


@torch.no_grad()
def test_completing_uses_no_value_of_a_hidden_patch_not_even_for_the_level():
    model, x = net(), noise(4, 64)
    keep = random_keep(4, 8, 0.5)
    other = torch.where(hidden_samples(keep, 8, 8), 100 * noise(4, 64, seed=1), x)
    assert torch.equal(model.complete(x, keep), model.complete(other, keep))


# Quantiser and drawing


def test_quantising_takes_the_nearest_code_and_lets_the_gradient_straight_through():
    book = GradientCodebook(2, 2)
    with torch.no_grad():
        book.codes.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    z = torch.tensor([[[0.1, 0.0], [1.0, 0.6]]], requires_grad=True)
    found = book(z)
    assert found.codes.tolist() == [[0, 1]]
    assert torch.allclose(found.z, book.codes[None])
    assert torch.allclose(found.distance[0], torch.tensor([[0.01, 1.81], [1.36, 0.16]]))
    weights = noise(1, 2, 2)
    (found.z * weights).sum().backward()
    assert torch.allclose(z.grad, weights)
    assert book.codes.grad is None


def test_the_jacobian_is_what_autograd_says_row_by_row():
    decoder = ShapeDecoder(TINY)
    codes = noise(3, 3)
    for code, found in zip(codes, jacobian(decoder, codes), strict=True):
        wanted = torch.autograd.functional.jacobian(lambda z: decoder(z[None])[0], code)
        assert torch.allclose(found, wanted.T, atol=1e-5)


def test_drawing_each_code_once_gives_the_value_and_gradients_of_drawing_every_token():
    decoder, codes = ShapeDecoder(TINY), noise(4, 3)
    which = torch.arange(60).view(3, 20) % 4
    weights = noise(3, 20, 16, seed=1)
    results = []
    for plain in (True, False):
        decoder.zero_grad()
        z = noise(3, 20, 3, seed=2).requires_grad_()
        quantised = Quantised(z + (codes[which] - z).detach(), codes[which], which, torch.empty(0))
        drawn = decoder(quantised.z) if plain else draw(decoder, quantised, codes)
        (drawn * weights).sum().backward()
        results.append([drawn.detach(), z.grad, *(p.grad.clone() for p in decoder.parameters())])
    for plain, shared in zip(*results, strict=True):
        assert torch.allclose(plain, shared, atol=1e-3, rtol=1e-3)


# Losses


def test_commitment_pulls_the_encoder_by_1_and_the_codes_by_a_quarter():
    z = torch.tensor([[1.0, 2.0]], requires_grad=True)
    e = torch.zeros(1, 2, requires_grad=True)
    loss = commitment(z, e, 0.25)
    loss.backward()
    assert loss.item() == pytest.approx(2.5 + 0.25 * 2.5)
    assert z.grad.tolist() == [[1.0, 2.0]]
    assert e.grad.tolist() == [[-0.25, -0.5]]


def test_commitment_as_in_vq_vae_is_the_other_way_round():
    z = torch.tensor([[1.0, 2.0]], requires_grad=True)
    e = torch.zeros(1, 2, requires_grad=True)
    commitment(z, e, 0.25, "vq-vae").backward()
    assert z.grad.tolist() == [[0.25, 0.5]]
    assert e.grad.tolist() == [[-1.0, -2.0]]


def test_code_entropy_is_lowest_for_sure_tokens_on_all_codes():
    sure = torch.tensor([[0.0, 99.0], [99.0, 0.0]])
    assert code_entropy(sure, 1.0, 0.01).item() == pytest.approx(-math.log(2))
    assert code_entropy(sure[:1].repeat(2, 1), 1.0, 0.01).item() == pytest.approx(0.0, abs=1e-6)
    assert code_entropy(torch.zeros(5, 2), 1.0, 0.01).item() == pytest.approx(0.0, abs=1e-6)
    # p = (3/4, 1/4) and (1/4, 3/4): E[H] = 2 ln 2 − 3/4 ln 3, H(E) = ln 2, γ = 1/2.
    d = 0.01 * math.log(3)
    mixed = torch.tensor([[[0.0, d], [d, 0.0]]])
    assert code_entropy(mixed, 0.5, 0.01).item() == pytest.approx(1.5 * math.log(2) - 0.75 * math.log(3), abs=1e-6)


def test_code_entropy_has_a_gradient_where_tokens_are_sure():
    distance = torch.tensor([[0.0, 99.0, 50.0], [0.0, 99.0, 50.0]], requires_grad=True)
    code_entropy(distance, 1.0, 0.01).backward()
    assert torch.isfinite(distance.grad).all()


def test_rebuilding_is_the_mean_squared_error_in_units():
    drawn, target = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 2.0], [0.0, 8.0]])
    assert rebuilding(drawn, target, torch.ones(2, 1)).item() == pytest.approx((4 + 64) / 4)
    assert rebuilding(drawn, target, torch.tensor([[2.0], [4.0]])).item() == pytest.approx((1 + 4) / 4)


def test_position_diversity_counts_pairs_that_are_nearer_than_the_margin():
    # All at t = 0, so u = (log l / log(1/64), 0): radii 1, .9 and .5, of which one pair is within .2, by .1.
    length = torch.tensor([[64**-1.0, 64**-0.9, 64**-0.5]])
    assert position_diversity(torch.zeros(1, 3), length, 1 / 64, 0.2).item() == pytest.approx(2 * 0.1 / 6, abs=1e-5)
    # A quarter turn apart: √2.
    apart = position_diversity(torch.tensor([[0.0, 0.5]]), torch.full((1, 2), 1 / 64), 1 / 64, 1.5)
    assert apart.item() == pytest.approx(1.5 - math.sqrt(2), abs=1e-5)


def test_position_diversity_of_equal_positions_is_the_margin_and_its_gradient_finite():
    t = torch.full((2, 4), 0.3, requires_grad=True)
    loss = position_diversity(t, torch.full((2, 4), 0.1), 1 / 64, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(0.2)
    assert torch.isfinite(t.grad).all()


def test_the_total_is_the_weighted_sum_with_the_published_weights():
    x = noise(4, 64)
    losses = vqshape_losses(net()(x), x, TINY, Recipe())
    assert losses.total.item() == pytest.approx((losses.x + losses.z + losses.s + 0.8 * losses.div).item(), abs=1e-5)
    out = net()(x)
    e = out.quantised.chosen
    expected = commitment(out.attributes.z, e, 0.25) + 0.1 * code_entropy(out.quantised.distance, 1.0, 0.01)
    assert losses.z.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_normalised_losses_do_not_depend_on_the_signals_units(scale: float):
    x = noise(4, 64)
    recipe = Recipe(scale="normalised")
    plain, scaled = (vqshape_losses(net()(f * x), f * x, TINY, recipe) for f in (1.0, scale))
    assert scaled.x.item() == pytest.approx(plain.x.item(), rel=1e-3)
    assert scaled.s.item() == pytest.approx(plain.s.item(), rel=1e-3)


@pytest.mark.parametrize("codes", [6, 60], ids=["each code drawn once", "every token drawn"])
def test_codes_learn_from_the_quantisation_alone(codes: int):
    model, x = net(replace(TINY, codes=codes)), noise(4, 64)
    for recipe, learns in (
        (replace(PLAIN, weight_x=1.0, weight_s=1.0), False),
        (replace(PLAIN, weight_div=1.0), False),
        (replace(PLAIN, weight_z=1.0), True),
    ):
        model.zero_grad()
        vqshape_losses(model(x), x, model.config, recipe).total.backward()
        moved = model.book.codes.grad is not None and bool(model.book.codes.grad.abs().sum() > 0)
        assert moved == learns, recipe
    assert model.encoder.embed.weight.grad is not None


@pytest.mark.parametrize("crop_gradient", [False, True])
def test_shapes_say_something_to_t_and_length_only_if_asked_to(crop_gradient: bool):
    model, x = net(), noise(4, 64)
    recipe = replace(PLAIN, weight_s=1.0, crop_gradient=crop_gradient)
    vqshape_losses(model(x), x, TINY, recipe).total.backward()
    grad = model.attributes.place[-1].bias.grad
    assert (grad is not None and float(grad.abs().sum()) > 0) == crop_gradient
    assert float(model.attributes.z[-1].weight.grad.abs().sum()) > 0, "z learns from its shape"
