"""The global latent workspace: teachers write into a few slots, the student reads them (SYSTEMS 3).

Hong, Jeon, Buman, Turaga, Pavlic, IEEE TNNLS 2025 (mGLW), over slot attention (Locatello et al., NeurIPS 2020).
Departure: **every** stream has its own learned projection over features and tokens, also where the sizes agree already;
token i of one network has nothing to do with token i of another until something learned brings them together.

Notation: B windows, L tokens, D width, K slots, M teachers.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from mmvq_bridge.command import BadInput

POSITION_DEVIATION: Final = 0.02  # usual for learned positions: small beside features of deviation 1
SMALLEST_SHARE: Final = 1e-8  # no slot divides by zero, however little attention it gets


class Stream(nn.Module):
    """One network's tokens (B, tokens_in, width_in), channels or positions, -> (B, tokens, width).

    Linear over features, + learned position, Linear-ReLU-Linear over tokens, LayerNorm.
    """

    def __init__(self, tokens_in: int, width_in: int, tokens: int, width: int) -> None:
        super().__init__()
        _check_positive(tokens_in=tokens_in, width_in=width_in, tokens=tokens, width=width)
        self.expected = (tokens_in, width_in)
        self.features = nn.Linear(width_in, width)
        self.position = nn.Parameter(torch.randn(tokens_in, width) * POSITION_DEVIATION)
        # No bias at the end: it would lift all features of a token alike, and LayerNorm takes that out again.
        self.mix = nn.Sequential(nn.Linear(tokens_in, tokens), nn.ReLU(), nn.Linear(tokens, tokens, bias=False))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens_in, width_in) -> (B, tokens, width)."""
        if x.dim() != 3 or x.shape[1:] != self.expected:
            raise BadInput(f"workspace stream got {tuple(x.shape)}: it was built for (batch, *{self.expected})")
        mixed = self.mix((self.features(x) + self.position).transpose(1, 2)).transpose(1, 2)
        normed: Tensor = self.norm(mixed)
        return normed


class SlotAttention(nn.Module):
    """M streams, each (B, L, D) -> slots (B, K, D) and per teacher its knowledge-into-slot map KIS_m (B, K, L).

        A_m = softmax over slots (q k_m^T / sqrt(D));  W_m = A_m / sum of A_m over tokens
        u = mean over m of W_m v_m;  slots <- GRU(u, slots);  KIS_m = A_m of the last round

    The slots compete for each token, so a KIS map's columns add up to 1. q is shared, k and v are each teacher's own.
    Before the last round slots <- sg(slots) + init - sg(init): the earlier rounds only find a starting point, and the
    learned slots get their gradient straight (bi-level trick; Jia et al. 2023, Hong et al. 2024).
    """

    def __init__(self, width: int, teachers: int, slots: int = 5, rounds: int = 3) -> None:
        super().__init__()
        _check_positive(width=width, teachers=teachers, slots=slots, rounds=rounds)
        self.rounds = rounds
        self.initial = nn.Parameter(nn.init.xavier_uniform_(torch.empty(slots, width)))
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.keys = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(teachers))
        self.values = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(teachers))
        self.update = nn.GRUCell(width, width)

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Slots (B, K, D), and (KIS_1 .. KIS_M), each (B, K, L)."""
        if len(streams) != len(self.keys):
            raise BadInput(f"workspace got {len(streams)} teacher streams: it was built for {len(self.keys)}")
        keys = [key(stream) for key, stream in zip(self.keys, streams, strict=True)]
        values = [value(stream) for value, stream in zip(self.values, streams, strict=True)]
        initial = self.initial.expand(len(streams[0]), -1, -1)
        slots, maps = initial, tuple[Tensor, ...]()
        for number in range(self.rounds):
            if number == self.rounds - 1:
                slots = slots.detach() + initial - initial.detach()
            slots, maps = self._round(slots, keys, values)
        return slots, maps

    def _round(
        self, slots: Tensor, keys: list[Tensor], values: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        query = self.query(self.norm(slots)) / slots.shape[2] ** 0.5
        maps = tuple(torch.softmax(query @ key.transpose(1, 2), dim=1) for key in keys)
        shares = [one / one.sum(dim=2, keepdim=True).clamp_min(SMALLEST_SHARE) for one in maps]
        update = torch.stack([share @ value for share, value in zip(shares, values, strict=True)]).mean(dim=0)
        return self.update(update.flatten(0, 1), slots.flatten(0, 1)).view_as(slots), maps


class StudentCrossAttention(nn.Module):
    """Student tokens (B, L, D) ask slots (B, K, D) -> updated tokens CA(e) + e (B, L, D), and KTS (B, L, K).

    KTS is the attention over slots, mean over heads, taken before dropout: the alignment loss must not see noise.
    """

    def __init__(self, width: int, heads: int = 5, dropout: float = 0.1) -> None:
        super().__init__()
        _check_positive(width=width, heads=heads)
        if width % heads:
            raise BadInput(f"workspace width {width} does not divide into {heads} heads: change one of them")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # a bias lifts all slots alike: softmax takes it out again
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Updated tokens (B, L, D) and the knowledge-to-student map KTS (B, L, K), whose rows add up to 1."""
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, L or K, D / heads)
            for layer, x in ((self.query, tokens), (self.key, slots), (self.value, slots))
        )
        attention = torch.softmax(query @ key.transpose(2, 3) / query.shape[3] ** 0.5, dim=3)
        read = (self.dropout(attention) @ value).transpose(1, 2).flatten(2)
        return tokens + self.out(read), attention.mean(dim=1)


def _check_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise BadInput(f"workspace {name} {size}: give at least 1")
