"""Text as target: its controls, and the fusion that lets signal and text look at each other."""

import math

import pytest
import torch

from mmvq_train.codebook import TextTargets, controlled
from mmvq_train.codebook.fusion import Fusion, divergence

MEMBERSHIP = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TARGETS = TextTargets(noise(4, 12), MEMBERSHIP, noise(3, 2, 12, seed=1))


def test_real_text_is_left_as_it_is_and_none_is_none():
    assert controlled(TARGETS, "real", 0) is TARGETS
    assert controlled(TARGETS, "none", 0) is None


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_text_gives_every_activity_another_ones_texts_together_with_its_sub_actions(seed: int):
    shuffled = controlled(TARGETS, "shuffled", seed)
    origin = [next(j for j in range(3) if torch.equal(row, TARGETS.activities[j])) for row in shuffled.activities]
    assert sorted(origin) == [0, 1, 2]
    assert all(i != j for i, j in enumerate(origin))
    assert torch.equal(shuffled.membership, MEMBERSHIP[origin])
    assert torch.equal(shuffled.entries, TARGETS.entries)


def test_random_and_one_hot_texts_keep_the_sets():
    for control in ("random", "one-hot"):
        other = controlled(TARGETS, control, 5)
        assert torch.equal(other.membership, MEMBERSHIP)
        assert not torch.equal(other.entries[:, :3], TARGETS.entries[:, :3])
    texts = torch.cat([other.entries, other.activities.flatten(0, 1)])
    assert torch.equal(texts @ texts.T, torch.eye(7))  # one-hot ones have nothing in common
    assert not torch.equal(controlled(TARGETS, "random", 0).entries, controlled(TARGETS, "random", 1).entries)


def test_tokens_look_only_at_the_texts_of_their_windows_label():
    fusion = Fusion(4, 12, 3).eval()
    tokens = noise(2, 5, 4)
    allowed = MEMBERSHIP[[0, 2]]
    fused = fusion(tokens, TARGETS.entries, allowed)
    assert (fused.signal.shape, fused.text.shape, fused.attention.shape) == ((2, 3), (2, 3), (2, 5, 4))
    assert float(fused.attention[0, :, 2:].detach().abs().max()) == 0
    assert torch.allclose(fused.attention.sum(-1), torch.ones(2, 5), atol=1e-5)
    other = TARGETS.entries.clone()
    other[2:] = 100.0
    again = fusion(tokens, other, allowed)
    assert torch.allclose(again.signal[0], fused.signal[0], atol=1e-5)
    assert torch.allclose(again.text[0], fused.text[0], atol=1e-5)
    assert not torch.allclose(again.signal[1], fused.signal[1], atol=1e-2)


def test_each_branch_keeps_its_own_beside_what_it_reads():
    fusion = Fusion(4, 12, 3).eval()
    for attention in (fusion.to_text, fusion.to_signal):
        torch.nn.init.zeros_(attention.out_proj.weight)
    tokens = noise(2, 5, 4)
    fused = fusion(tokens, TARGETS.entries, MEMBERSHIP[[0, 2]])
    assert torch.allclose(fused.signal, fusion.by_signal(fusion.signal(tokens).mean(1)), atol=1e-5)
    own = torch.stack([fusion.text(TARGETS.entries)[:2].mean(0), fusion.text(TARGETS.entries)[2:].mean(0)])
    assert torch.allclose(fused.text, fusion.by_text(own), atol=1e-5)


def test_divergence_on_values_worked_out_by_hand_and_with_zeros_in_the_target():
    logits = torch.tensor([[[0.5, 0.25, 0.25], [0.2, 0.4, 0.4]]]).log()
    target = torch.tensor([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]])
    expected = (0.5 * math.log(0.5 / 0.25) + math.log(1 / 0.2)) / 2
    assert float(divergence(logits, target)) == pytest.approx(expected, abs=1e-6)
    assert float(divergence(logits, logits.softmax(-1))) == pytest.approx(0.0, abs=1e-6)
