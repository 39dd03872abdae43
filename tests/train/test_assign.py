"""Which token is which member of a window's set: assignments against brute force and by their properties."""

import itertools

import pytest
import torch

from mmvq_train.codebook.assign import balanced, stretches


def sets(batch: int, actions: int, members: int, generator: torch.Generator) -> torch.Tensor:
    order = torch.rand(batch, actions, generator=generator).argsort(-1)
    return order < members


def likelihood(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1).gather(-1, tokens[..., None]).sum((-1, -2))


def arrangements(members: list[int], tokens: int) -> list[list[int]]:
    """Every order of the members, with every way to cut the tokens into as many stretches."""
    found = []
    for order in itertools.permutations(members):
        for cuts in itertools.combinations(range(1, tokens), len(members) - 1):
            edges = [0, *cuts, tokens]
            found.append([m for m, a, b in zip(order, edges[:-1], edges[1:], strict=True) for _ in range(b - a)])
    return found


@pytest.mark.parametrize(("members", "tokens"), [(1, 4), (2, 2), (2, 6), (3, 6), (4, 4), (4, 7)])
def test_stretches_are_the_likeliest_of_all_arrangements(members: int, tokens: int) -> None:
    generator = torch.Generator().manual_seed(members * 10 + tokens)
    logits = 2 * torch.randn(8, tokens, 6, generator=generator)
    allowed = sets(8, 6, members, generator)
    found = stretches(logits, allowed)
    for i in range(8):
        every = torch.tensor(arrangements(allowed[i].nonzero()[:, 0].tolist(), tokens))
        best = likelihood(logits[i].expand(len(every), -1, -1), every).max()
        torch.testing.assert_close(likelihood(logits[i], found[i]), best)
        assert found[i].tolist() in every.tolist()


def test_every_member_gets_one_stretch_even_where_one_token_would_do_for_all() -> None:
    logits = torch.zeros(1, 19, 10)
    logits[..., 3] = 20.0
    allowed = torch.zeros(1, 10, dtype=torch.bool)
    allowed[0, [1, 3, 4, 7, 9]] = True
    found = stretches(logits, allowed)[0]
    assert set(found.tolist()) == {1, 3, 4, 7, 9}
    assert len(torch.unique_consecutive(found)) == 5
    assert int((found == 3).sum()) == 15


def test_beliefs_inside_the_set_may_be_given_with_the_rest_masked() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, allowed = torch.randn(16, 9, 8, generator=generator), sets(16, 8, 4, generator)
    masked = logits.masked_fill(~allowed[:, None], float("-inf"))
    torch.testing.assert_close(stretches(masked, allowed), stretches(logits, allowed))
    torch.testing.assert_close(balanced(masked, allowed), balanced(logits, allowed))


@pytest.mark.parametrize(
    "allowed", [[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]]], ids=["unequal", "none", "many"]
)
def test_sets_that_cannot_each_have_their_stretch_are_refused(allowed: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="equally many members, 1 to 2"):
        stretches(torch.zeros(2, 2, 3), torch.tensor(allowed).bool())


def test_balanced_targets_give_each_member_its_share_of_the_tokens() -> None:
    generator = torch.Generator().manual_seed(1)
    logits, allowed = torch.randn(8, 20, 9, generator=generator), sets(8, 9, 5, generator)
    targets = balanced(logits, allowed)
    torch.testing.assert_close(targets.sum(-1), torch.ones(8, 20))
    assert (targets.masked_select(~allowed[:, None].expand_as(targets)) == 0).all()
    shares = targets.sum(1)[allowed]
    torch.testing.assert_close(shares, torch.full_like(shares, 4.0), atol=0.05, rtol=0)


def test_balanced_targets_keep_what_is_believed_of_a_token() -> None:
    logits = torch.full((1, 4, 3), -4.0)
    for token, member in enumerate((0, 0, 2, 2)):
        logits[0, token, member] = 4.0
    allowed = torch.tensor([[True, False, True]])
    assert balanced(logits, allowed)[0].argmax(-1).tolist() == [0, 0, 2, 2]


def test_a_favourite_of_all_tokens_is_shared_out_to_those_that_like_the_others_most() -> None:
    logits = torch.tensor([[[3.0, 0.0], [3.0, 1.0], [3.0, 2.0], [3.0, 2.5]]])
    assert balanced(logits, torch.ones(1, 2, dtype=torch.bool))[0].argmax(-1).tolist() == [0, 0, 1, 1]
