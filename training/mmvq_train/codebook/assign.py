"""Which token of a window is which of its sub-actions, when only the set of them is known.

The candidate-set loss leaves open which member a token is, and is content with a favourite (SYSTEMS 4: balanced
assignment). Here the assignment is made, from what the model believes so far, and then taught as a target: the E step
of hard and soft expectation maximisation.

- `balanced`: every member gets its share of the window's tokens (Sinkhorn's scaling; Cuturi 2013, arXiv 1306.0895).
- `stretches`: every member has one stretch of time, in whatever order fits best. Exact, by dynamic programming over the
  members that have had theirs (Held & Karp 1962), for sets of up to ten.
"""

from typing import Final

import torch
from torch import Tensor

ROUNDS: Final = 10  # of Sinkhorn's scaling; shares are even to a per cent by then
MOST_MEMBERS: Final = 10  # 2^10 sets by 10 members a token


def balanced(logits: Tensor, allowed: Tensor) -> Tensor:
    """Soft targets (B, T, M): rows sum to one inside the set, and a window's members have equal shares of its tokens.

    logits (B, T, M); allowed bool (B, M), at least one member a window.
    """
    members = allowed.sum(-1)[:, None, None]
    q = logits.masked_fill(~allowed[:, None], float("-inf")).softmax(-1)
    for _ in range(ROUNDS):
        q = q / q.sum(1, keepdim=True).clamp_min(1e-9) * logits.shape[1] / members
        q = q / q.sum(-1, keepdim=True)
    return q


def stretches(logits: Tensor, allowed: Tensor) -> Tensor:
    """Hard targets int64 (B, T): the likeliest way to give each member of the set one stretch of tokens.

    logits (B, T, M); allowed bool (B, M), the same number of members in each window, at most as many as tokens and ten.
    Raises ValueError otherwise.
    """
    count = int(allowed[0].sum())
    if not (allowed.sum(-1) == count).all() or not 1 <= count <= min(MOST_MEMBERS, logits.shape[1]):
        raise ValueError(f"windows need equally many members, 1 to {min(MOST_MEMBERS, logits.shape[1])}")
    batch, tokens, _ = logits.shape
    member = allowed.nonzero()[:, 1].view(batch, count)
    score = logits.log_softmax(-1).gather(2, member[:, None].expand(-1, tokens, -1))
    one = 1 << torch.arange(count, device=logits.device)
    sets = torch.arange(1 << count, device=logits.device)
    has = (sets[:, None] & one).bool()  # sets × members: those that have had their stretch, the present one among them
    before = sets[:, None] ^ (one * has)  # the same without it

    # best[b, s, m]: log-likelihood of the tokens so far, if the members s have had theirs and m has the last token.
    best = score.new_full((batch, len(sets), count), float("-inf"))
    best[:, one, torch.arange(count)] = score[:, 0]
    came: list[Tensor] = []  # the member of the token before, for each state
    for token in range(1, tokens):
        value, last = best.max(2)
        new, turn = value[:, before], last[:, before]
        changes = (new > best) & has
        came.append(torch.where(changes, turn, torch.arange(count, device=logits.device)))
        best = torch.where(changes, new, best) + score[:, token, None]
        best = best.masked_fill(~has, float("-inf"))

    rows = torch.arange(batch, device=logits.device)
    state, now = torch.full_like(rows, len(sets) - 1), best[:, -1].argmax(-1)
    out = [now]
    for previous in reversed(came):
        then = previous[rows, state, now]
        state = torch.where(then != now, state ^ one[now], state)
        now = then
        out.append(now)
    return member.gather(1, torch.stack(out[::-1], dim=1))
