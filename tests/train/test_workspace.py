import math

import pytest
import torch
from torch import nn

from mmvq_bridge.command import BadInput
from mmvq_train.distil.losses import divergence, similarity_preserving
from mmvq_train.workspace import (
    DynamicCoefficients,
    SlotAttention,
    SlotReader,
    Stream,
    StudentCrossAttention,
    alignment,
    coefficients,
    map_distances,
)

WIDTH, TOKENS = 20, 6


class Toy(nn.Module):
    """Two teachers and a student of differing token counts and widths around one workspace."""

    def __init__(self):
        super().__init__()
        self.first = Stream(8, 12, TOKENS, WIDTH)
        self.second = Stream(5, 30, TOKENS, WIDTH)
        self.student = Stream(TOKENS, WIDTH, TOKENS, WIDTH)
        self.workspace = SlotAttention(WIDTH, teachers=2)
        self.attend = StudentCrossAttention(WIDTH)
        self.coefficients = DynamicCoefficients(2)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, first, second, tokens):
        slots, kis = self.workspace([self.first(first), self.second(second)])
        updated, kts = self.attend(self.student(tokens), slots)
        return self.head(updated.mean(dim=1)), kts, kis


def toy_batch():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(16, *shape, generator=generator) for shape in ((8, 12), (5, 30), (TOKENS, WIDTH), (3,), (3,))]
    return (*parts, torch.arange(16) % 3)


def toy_loss(model, batch):
    first, second, tokens, one, other, labels = batch
    logits, kts, kis = model(first, second, tokens)
    alpha = model.coefficients(kts, kis)
    answers = torch.stack([divergence(logits, teacher, 4.0).mean() for teacher in (one, other)])
    similar = similarity_preserving(tokens, [model.student(tokens)]).sum()
    return nn.functional.cross_entropy(logits, labels) + (alpha * answers).sum() + similar + alignment(kts, kis)


def train(seed, steps):
    torch.manual_seed(seed)
    model = Toy()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = toy_loss(model, toy_batch())
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return model, losses


def test_training_the_workspace_lowers_the_loss():
    _, losses = train(seed=0, steps=40)
    assert losses[-1] < 0.7 * losses[0]


def test_the_same_seed_trains_the_same_workspace():
    first, first_losses = train(seed=1, steps=5)
    second, second_losses = train(seed=1, steps=5)
    assert first_losses == second_losses
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_gradients_reach_projections_slots_and_student():
    torch.manual_seed(0)
    model = Toy()
    toy_loss(model, toy_batch()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_gradients_reach_the_student_behind_the_workspace():
    torch.manual_seed(0)
    model, batch = Toy(), toy_batch()
    tokens = batch[2].requires_grad_()
    toy_loss(model, batch).backward()
    assert tokens.grad is not None and tokens.grad.any()


def test_streams_of_any_tokens_and_width_come_to_one_shape():
    for tokens_in, width_in in ((3, 4), (TOKENS, WIDTH), (64, 125)):
        out = Stream(tokens_in, width_in, TOKENS, WIDTH)(torch.randn(2, tokens_in, width_in))
        assert out.shape == (2, TOKENS, WIDTH)
        torch.testing.assert_close(out.mean(dim=2), torch.zeros(2, TOKENS), atol=1e-5, rtol=0)


def test_slots_compete_for_every_token():
    slots, kis = SlotAttention(WIDTH, teachers=3, slots=4)([torch.randn(2, TOKENS, WIDTH) for _ in range(3)])
    assert slots.shape == (2, 4, WIDTH)
    assert [tuple(one.shape) for one in kis] == [(2, 4, TOKENS)] * 3
    for one in kis:
        torch.testing.assert_close(one.sum(dim=1), torch.ones(2, TOKENS))


def test_one_round_of_slot_attention_is_the_written_formula():
    torch.manual_seed(0)
    layer = SlotAttention(WIDTH, teachers=2, slots=4, rounds=1)
    streams = [torch.randn(1, TOKENS, WIDTH) for _ in range(2)]
    slots, kis = layer(streams)
    read = torch.zeros(4, WIDTH)
    for m in range(2):
        scores = layer.query(layer.norm(layer.initial)) @ layer.keys[m](streams[m][0]).T / math.sqrt(WIDTH)
        attention = scores.exp() / scores.exp().sum(dim=0, keepdim=True)
        torch.testing.assert_close(kis[m][0], attention)
        read += attention / attention.sum(dim=1, keepdim=True) @ layer.values[m](streams[m][0]) / 2
    torch.testing.assert_close(slots[0], layer.update(read, layer.initial))


def test_only_the_last_round_is_differentiated_and_the_learned_slots_get_its_gradient_straight():
    torch.manual_seed(0)
    layer = SlotAttention(WIDTH, teachers=1, rounds=3)
    stream = torch.randn(2, TOKENS, WIDTH)
    layer([stream])[0].square().sum().backward()

    found = layer.initial.expand(2, -1, -1)
    keys, values = [layer.keys[0](stream)], [layer.values[0](stream)]
    for _ in range(2):
        found = layer._round(found, keys, values)[0]
    start = found.detach().requires_grad_()
    layer._round(start, keys, values)[0].square().sum().backward()
    torch.testing.assert_close(layer.initial.grad, start.grad.sum(dim=0))


def test_the_student_map_is_a_distribution_over_slots_and_has_no_dropout_in_it():
    torch.manual_seed(0)
    layer = StudentCrossAttention(WIDTH, heads=5, dropout=0.9).train()
    tokens, slots = torch.randn(2, TOKENS, WIDTH), torch.randn(2, 4, WIDTH)
    updated, kts = layer(tokens, slots)
    again, kts_again = layer(tokens, slots)
    assert kts.shape == (2, TOKENS, 4)
    torch.testing.assert_close(kts.sum(dim=2), torch.ones(2, TOKENS))
    assert torch.equal(kts, kts_again)
    assert not torch.equal(updated, again), "dropout works on what is read"


def test_student_cross_attention_is_torchs_own_with_a_residual():
    torch.manual_seed(0)
    layer = StudentCrossAttention(WIDTH, heads=5).eval()
    theirs = nn.MultiheadAttention(WIDTH, 5, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([layer.query.bias, torch.zeros(WIDTH), layer.value.bias]))
        theirs.out_proj.load_state_dict(layer.out.state_dict())
        tokens, slots = torch.randn(2, TOKENS, WIDTH), torch.randn(2, 4, WIDTH)
        updated, kts = layer(tokens, slots)
        read, attention = theirs(tokens, slots, slots)
    torch.testing.assert_close(updated, tokens + read)
    torch.testing.assert_close(kts, attention)


def test_the_workspace_refuses_what_does_not_fit():
    with pytest.raises(BadInput, match="heads"):
        StudentCrossAttention(WIDTH, heads=3)
    with pytest.raises(BadInput, match="built for 2"):
        SlotAttention(WIDTH, teachers=2)([torch.zeros(1, TOKENS, WIDTH)])
    with pytest.raises(BadInput, match="slots 0"):
        SlotAttention(WIDTH, teachers=2, slots=0)
    with pytest.raises(BadInput, match="stream got"):
        Stream(3, 4, TOKENS, WIDTH)(torch.zeros(2, 4, 3))


def maps_at(*distances):
    """A student map and, per distance, a teacher's map that lies that far from it (mean squared)."""
    kts = torch.zeros(2, TOKENS, 4)
    return kts, [torch.full((2, 4, TOKENS), d**0.5) for d in distances]


def test_coefficients_of_two_teachers_are_the_published_ones():
    torch.testing.assert_close(coefficients(torch.tensor([0.01, 0.03]), "far"), torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(coefficients(torch.tensor([0.01, 0.03]), "near"), torch.tensor([0.75, 0.25]))


def test_coefficients_of_three_teachers_keep_the_order_and_add_up_to_one():
    far = coefficients(torch.tensor([1.0, 2.0, 5.0]), "far")
    near = coefficients(torch.tensor([1.0, 2.0, 5.0]), "near")
    torch.testing.assert_close(far, torch.tensor([1.0, 2.0, 5.0]) / 8)
    torch.testing.assert_close(near, torch.tensor([7.0, 6.0, 3.0]) / 16)


@pytest.mark.parametrize("orientation", ["far", "near"])
def test_one_teacher_counts_fully_and_equal_maps_count_equally(orientation):
    assert coefficients(torch.tensor([0.3]), orientation).tolist() == [1.0]
    assert coefficients(torch.zeros(2), orientation).tolist() == [0.5, 0.5]
    alone = DynamicCoefficients(1, orientation)
    assert alone(*maps_at(0.3)).tolist() == [1.0]


def test_coefficients_move_slowly_and_settle_between_the_floors():
    layer = DynamicCoefficients(2, "far", decay=0.9, floor=0.1)
    once = layer(*maps_at(0.0, 0.04))
    torch.testing.assert_close(once, torch.tensor([0.1 + 0.8 * 0.45, 0.1 + 0.8 * 0.55]))
    for _ in range(200):
        last = layer(*maps_at(0.0, 0.04))
    torch.testing.assert_close(last, torch.tensor([0.1, 0.9]))


def test_coefficients_stand_still_outside_training_and_carry_no_gradient():
    layer = DynamicCoefficients(2).eval()
    kts, kis = maps_at(0.0, 0.04)
    alpha = layer(kts.requires_grad_(), kis)
    assert alpha.tolist() == [0.5, 0.5]
    assert not alpha.requires_grad


def test_a_resumed_run_goes_on_with_its_coefficients():
    layer, resumed = DynamicCoefficients(2), DynamicCoefficients(2)
    for _ in range(5):
        layer(*maps_at(0.01, 0.04))
    resumed.load_state_dict(layer.state_dict())
    assert torch.equal(resumed(*maps_at(0.02, 0.01)), layer(*maps_at(0.02, 0.01)))


def test_equal_parts_are_the_control():
    layer = DynamicCoefficients(2, "equal")
    assert layer(*maps_at(0.0, 0.04)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "wrong", [{"teachers": 0}, {"floor": 0.6}, {"floor": -0.1}, {"decay": 1.0}, {"orientation": "both"}]
)
def test_coefficients_refuse_settings_without_sense(wrong):
    with pytest.raises(BadInput):
        DynamicCoefficients(**{"teachers": 2, **wrong})


def test_coefficients_refuse_another_number_of_maps():
    with pytest.raises(BadInput, match="3 teacher maps"):
        DynamicCoefficients(2)(*maps_at(0.1, 0.1, 0.1))


def test_alignment_adds_up_the_distances_to_all_teachers():
    kts, kis = maps_at(0.01, 0.04)
    assert alignment(kts, kis).item() == pytest.approx(0.05)
    torch.testing.assert_close(map_distances(kts, kis), torch.tensor([0.01, 0.04]))


def test_alignment_compares_token_with_token_and_slot_with_slot():
    kts = torch.rand(2, TOKENS, 4)
    assert alignment(kts, [kts.transpose(1, 2)]).item() == 0


def test_a_folded_reader_of_slots_says_the_same():
    torch.manual_seed(0)
    reader = SlotReader(24, 16, 5, 4).eval()
    reader.remember(torch.randn(7, 5, 16))
    tokens = torch.randn(9, 24)
    assert torch.allclose(reader.folded()(tokens), reader(tokens), atol=1e-5)
    assert not torch.allclose(reader(tokens), tokens, atol=0.01)


def test_a_reader_begins_with_the_slots_of_the_first_batch_and_averages_later_ones():
    reader, ones = SlotReader(24, 16, 5, 4), torch.ones(3, 5, 16)
    reader.remember(2 * ones)
    assert torch.equal(reader.slots, 2 * ones[0])
    reader.remember(ones)
    assert torch.allclose(reader.slots, 1.99 * ones[0])
