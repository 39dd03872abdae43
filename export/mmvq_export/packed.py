"""The student's networks as two grouped convolutions and a batched product: for the tokens of all lengths at once.

At the edge a window takes as long as its graph has nodes, not as it has multiplications (docs/lab-log.md); a network a
length would be dozens of small products. Tokens of every length are laid side by side, the few long ones repeated up to
the number of the short ones, and each length is a group of channels with weights of its own.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_train.student.model import Student


class Packed(nn.Module):
    """Codes (B, T, S) and attributes as a network likes them (B, T, A, 2) -> contributions (B, T, C) and sub-action
    logits (B, T, M): what the student's `said` and `act` say, but for rounding, from whose weights it is made."""

    half_step: Tensor
    first_code: Tensor
    first_row: Tensor
    laid: Tensor
    back: Tensor
    length: Tensor

    def __init__(self, student: Student, twice: bool = False) -> None:
        """twice: attributes are read a second time, to be rounded half a step apart (`rounding`)."""
        super().__init__()
        layout, size = student.layout, student.size
        self.lengths = len(layout.counts)
        self.register_buffer("length", torch.arange(self.lengths).repeat_interleave(torch.tensor(layout.counts)))
        self.register_buffer("first_code", size * self.length[:, None])  # in one list for all lengths
        self.register_buffer("first_row", size * self.lengths * torch.arange(layout.streams))
        # Place by place, as int8 kernels want channels last: nothing needs to be turned for them.
        self.register_buffer("laid", student.laid.view(self.lengths, -1).T.flatten())
        self.register_buffer("back", student.back)
        self.twice = twice
        self.register_buffer("half_step", torch.zeros(()))
        tables = torch.stack(list(student.embed)).detach().unflatten(1, (layout.streams, size))
        self.table = nn.Parameter(tables.transpose(0, 1).flatten(0, 2))  # of each stream the codes of all lengths
        with torch.no_grad():
            hidden = zip(*(_linears(network) for network in student.networks), strict=True)
            self.first, self.second = (_grouped(layers) for layers in hidden)
            if twice:
                self.first = _halved(self.first, 2 * layout.axes)
            # Not one more convolution: int8 convolutions round what they say, and contributions are published.
            shares = list(zip(student.heads(), student.share, strict=True))
            self.last = nn.Parameter(torch.stack([share * head.weight.T for head, share in shares]))
            self.last_bias = nn.Parameter(torch.stack([share * head.bias for head, share in shares])[self.length])
            self.act = student.act.folded()
            self.act_size = nn.Parameter(torch.ones(len(self.length), 1))  # by which a token counts there
            self.reader = student.reader.folded() if student.reader else None

    def features(self, codes: Tensor, attributes: Tensor) -> Tensor:
        """Looked up and laid in groups (B, lengths · inputs, 1, places)."""
        attributes = attributes.flatten(2)
        again = [attributes + self.half_step] if self.twice else []
        looked_up = F.embedding(codes + self.first_code + self.first_row, self.table).flatten(2)
        features = torch.cat([looked_up, attributes, *again], dim=-1)
        groups = features.index_select(1, self.laid).unflatten(1, (-1, self.lengths)).flatten(2)
        return groups.unsqueeze(1).permute(0, 3, 1, 2)

    def tokens(self, hidden: Tensor) -> Tensor:
        """Embeddings (B, lengths, places, width) out of the second layer's channels (B, lengths · width, 1, places)."""
        tokens = hidden.permute(0, 2, 3, 1).squeeze(1).unflatten(2, (self.lengths, -1)).transpose(1, 2)
        if self.reader is not None:
            tokens = self.reader(tokens.flatten(0, 2)).unflatten(0, tokens.shape[:3])
        return tokens

    def forward(self, codes: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """Looked up, laid in groups, through the layers and back."""
        tokens = self.tokens(self.second(self.first(self.features(codes, attributes)).relu()).relu())
        contributions = (tokens @ self.last).flatten(1, 2).index_select(1, self.back) + self.last_bias
        shown = tokens.flatten(1, 2).index_select(1, self.back)
        return contributions, (shown @ self.act.weight.T) * self.act_size + self.act.bias


def _linears(network: nn.Module) -> list[nn.Linear]:
    return [layer for layer in network.children() if isinstance(layer, nn.Linear)]


def _grouped(layers: Sequence[nn.Linear]) -> nn.Conv2d:
    """A layer for each group of channels. Of two dimensions, as its float kernel is a quarter faster than of one."""
    weight, bias = (torch.cat(parts) for parts in zip(*((one.weight, one.bias) for one in layers), strict=True))
    made = nn.Conv2d(len(layers) * weight.shape[1], len(weight), 1, groups=len(layers))
    made.load_state_dict({"weight": weight[..., None, None], "bias": bias})
    return made


def _halved(layer: nn.Conv2d, last: int) -> nn.Conv2d:
    """The same of features whose `last` ones of each group come twice."""
    weight = layer.weight.detach()
    made = nn.Conv2d(layer.in_channels + last * layer.groups, layer.out_channels, 1, groups=layer.groups)
    half = weight[:, -last:] / 2
    made.load_state_dict({"weight": torch.cat([weight[:, :-last], half, half], dim=1), "bias": layer.bias})
    return made
