"""What the student's networks read, computed once: codes and attributes of the training windows, in several copies.

Labels never reach the map to the codes, so it is learnt first and by itself; after that a window's tokens stand still,
and training is look-ups and small products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.codebook.quantiser import nearest
from mmvq_train.config import StudentConfig
from mmvq_train.data import SLID_DEG, augment, flattened, mixtures, slid
from mmvq_train.student.model import Student

WINDOWS_AT_ONCE: Final = 256
FOLLOWED_PIECES: Final = 200_000  # of all lengths together: many times what 512 numbers need
FOLLOWED_AT_ONCE: Final = 2048  # pieces of each length a step
SOFTNESS: Final = 0.5  # of the assignment, in squared distance: codes lie about 1 apart in every dimension
STEP: Final = 1e-2


@dataclass(frozen=True)
class Tokens:
    """Of N windows in some copies: codes int16 (copies, N, T, S), attributes half (copies, N, T, A, 2)."""

    codes: Tensor
    attributes: Tensor

    def some(self, copy: int, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Of one copy's rows, as the student takes them: codes (B, T, S), attributes (B, T, A, 2)."""
        return self.codes[copy, rows].to(device).long(), self.attributes[copy, rows].to(device).float()


@dataclass(frozen=True)
class Mixed:
    """Tokens of windows that are mixtures; share (copies, N) of the window of that row, and the other one's row."""

    tokens: Tokens
    share: Tensor
    other: Tensor


@torch.no_grad()
def mixed_of(student: Student, x: Tensor, recipe: StudentConfig, seed: int) -> Mixed:
    """Mixtures of windows (N, W, 3), `recipe.mixed` copies of each; one at a time, as there may be many."""
    generator = torch.Generator().manual_seed(seed + 1)
    made, shares, others = [], [], []
    for _ in range(recipe.mixed):
        windows, share, other = mixtures(x, generator, recipe.forearm, recipe.noise_g)
        made.append(tokens_of(student, [windows]))
        shares.append(share)
        others.append(other)
    tokens = Tokens(torch.cat([one.codes for one in made]), torch.cat([one.attributes for one in made]))
    return Mixed(tokens, torch.stack(shares), torch.stack(others))


def copies_of(x: Tensor, recipe: StudentConfig, seed: int) -> list[Tensor]:
    """Windows (N, W, 3) as they are, then turned and scaled a little and flattened in places, each copy otherwise."""
    generator, found = torch.Generator().manual_seed(seed), [x]
    for _ in range(recipe.copies - 1):
        copy = augment(x, recipe.rotation_deg, recipe.gain, generator)
        if recipe.forearm is not None:
            copy = slid(copy, recipe.forearm, SLID_DEG["copies"], generator)
        found.append(flattened(copy, generator))
    return found


@torch.no_grad()
def tokens_of(student: Student, copies: Sequence[Tensor]) -> Tokens:
    """As the student's map and frozen codes have them; made where the student is, kept on the CPU."""
    codes, attributes = [], []
    for x in copies:
        windows = (part.to(student.bias.device) for part in x.split(WINDOWS_AT_ONCE))
        parts = [student.tokens(student.pieces.joined(part)) for part in windows]
        codes.append(torch.cat([c.to(torch.int16).cpu() for c, _ in parts]))
        attributes.append(torch.cat([a.half().cpu() for _, a in parts]))
    return Tokens(torch.stack(codes), torch.stack(attributes))


def follow(student: Student, codebook: ShapeCodebook, x: Tensor, steps: int, seed: int) -> None:
    """L_KD on z: teach the student's linear map which code the codebook's encoder would choose, codes frozen.

    First the map nearest to the encoder's z (least squares), then `steps` of cross-entropy of the assignment
    softmax(−‖z − e‖² / .5) against the encoder's choice, on windows x (N, W, 3). A z that is near is not yet the same
    code: on the embedded recordings the first gives 91 % of the choices, the second 93 % (docs/lab-log.md).
    """
    shapes, chosen, z = _choices(codebook, x)
    for number, own in enumerate(student.maps):
        lengths = [i for i, part in enumerate(codebook.layout.part) if part == number]
        near = torch.linalg.lstsq(*(torch.cat([one[i] for i in lengths]) for one in (shapes, z)))
        own.load_state_dict({"weight": near.solution.T})
    student.maps.requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(student.maps.parameters(), STEP)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, max(1, steps))
    for _ in range(steps):
        losses = []
        for i, (shape, choice, codes) in enumerate(zip(shapes, chosen, student.codes, strict=True)):
            rows = torch.randint(len(shape), (FOLLOWED_AT_ONCE,), generator=generator)
            apart = torch.cdist(student.place(i, shape[rows]), codes).square()
            losses.append(F.cross_entropy(-apart / SOFTNESS, choice[rows]))
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
        schedule.step()
    student.maps.half().float().requires_grad_(False)  # in two bytes, as codes


@torch.no_grad()
def _choices(codebook: ShapeCodebook, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Of every length: shapes (n, points), the encoder's choice (n,) and its z (n, d); of evenly spread windows."""
    layout = codebook.layout
    count = max(1, min(len(x), FOLLOWED_PIECES // (layout.tokens * layout.streams)))
    rows = torch.linspace(0, len(x) - 1, count).long()
    shapes, chosen, joined = [], [], []
    parts = [codebook.encode(part) for part in x[rows].split(WINDOWS_AT_ONCE)]
    for i, book in enumerate(codebook.books()):
        shapes.append(torch.cat([pieces[i].shape.flatten(0, 2) for pieces, _ in parts]))
        joined.append(torch.cat([z[i].flatten(0, 2) for _, z in parts]))
        chosen.append(nearest(joined[-1], book.codes))
    return shapes, chosen, joined
