"""Black boxes of the student's size: nets, trained as well as it is, as int8 files.

Training is the student's: AdamW and one cycle, label smoothing, windows turned and scaled a little, beside each batch
as many mixtures of windows (a recipe may leave these out), weights averaged over the last epochs; with teachers, their
answers. int8 as EDGE 1 found best: static, U8S8, a scale a channel.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
import torch.nn.functional as F
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from mmvq_export.compact import compact
from mmvq_export.gates import open_session
from mmvq_export.quantize import quiet_root
from mmvq_export.trace import OPSET, strip
from mmvq_train.config import Axis
from mmvq_train.data import SLID_DEG, WindowSet, mixtures, noised, slid
from mmvq_train.fitting import Batch, Stage, device_of, fit
from mmvq_train.rundir import restore, save_module
from mmvq_train.teachers.wrn import WideResNet

SMOOTHING: Final = 0.05
AVERAGED: Final = 0.3  # share of the last epochs
CALIBRATING: Final = 256  # windows that int8 ranges are taken from
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """epochs; mixed: whether mixtures are learnt from too; forearm: its axis, if windows are turned about and mirrored
    along it as the student's are; noise_g: as the student's, but of windows that are not mixed too; distil: what
    teachers' answers count beside labels."""

    epochs: int
    mixed: bool = True
    forearm: Axis | None = None
    noise_g: float = 0.0
    distil: float = 0.0
    batch: int = 128
    learning_rate: float = 2e-3


class TinierHAR(nn.Module):
    """Depthwise separable convolutions of 5 samples along each axis with shortcuts, the first two halving the time; a
    GRU both ways over what they found; a weighted mean over time (Bian et al. 2025, arXiv 2507.07949, in the sizes that
    its authors publish). (B, 3, W) -> logits (B, classes)."""

    def __init__(self, classes: int, filters: int = 4, more: int = 4, hidden: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        sizes = [1, filters, *[2 * filters] * (1 + more)]
        pairs = pairwise(sizes)
        self.blocks = nn.Sequential(*(_Separable(a, b, pooled=i < 2) for i, (a, b) in enumerate(pairs)))
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(3 * 2 * filters, hidden, bidirectional=True, batch_first=True)
        self.weigh, self.head = nn.Linear(2 * hidden, 1), nn.Linear(2 * hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        found = self.blocks(x.transpose(1, 2)[:, None])  # (B, channels, time, axes)
        steps, _ = self.gru(self.dropout(found.transpose(1, 2).flatten(2)))
        logits: Tensor = self.head((steps * self.weigh(steps).softmax(1)).sum(1))
        return logits


class _Separable(nn.Module):
    def __init__(self, before: int, after: int, pooled: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, before, (5, 1), padding=(2, 0), groups=before), nn.Conv2d(before, after, 1),
            nn.BatchNorm2d(after), nn.ReLU(),
        )
        same = before == after
        self.shortcut = nn.Sequential() if same else nn.Sequential(nn.Conv2d(before, after, 1), nn.BatchNorm2d(after))
        self.pool = nn.MaxPool2d((2, 1)) if pooled else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.pool(self.body(x)) + self.pool(self.shortcut(x))
        return found


NETS: Final[dict[str, Callable[[int], nn.Module]]] = {
    "WRN16-1": lambda classes: WideResNet(3, classes, 16, 1),
    "WRN16-2": lambda classes: WideResNet(3, classes, 16, 2),
    "TinierHAR": TinierHAR,
}


class Net(nn.Module):
    """Windows (B, W, 3) in g -> logits (B, classes) of one of NETS."""

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        self.body = NETS[name](classes)

    def forward(self, x: Tensor) -> Tensor:
        """Of a WRN its features are left out."""
        said = self.body(x.transpose(1, 2))
        logits: Tensor = said[0] if isinstance(said, tuple) else said
        return logits


class NetStage(Stage):
    """Trains a net; answers (N, classes): what teachers say of the windows, as probabilities."""

    def __init__(self, net: Net, data: WindowSet, recipe: Recipe, seed: int, answers: Tensor | None) -> None:
        super().__init__(
            data, epochs=recipe.epochs, batch=recipe.batch, learning_rate=recipe.learning_rate, seed=seed
        )
        self.net, self.recipe, self.answers = net, recipe, answers

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Labels and answers of the batch; labels of as many mixtures."""
        x, device = batch.x, batch.x.device
        labels = [(batch.y, torch.ones(len(batch.y), device=device))]
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        if self.recipe.forearm is not None:
            x = slid(x, self.recipe.forearm, SLID_DEG["copies"], generator)
        x = noised(x, self.recipe.noise_g, generator)
        if self.recipe.mixed:
            rows = torch.randint(len(self.data), (len(batch.y),))
            more, share, other = mixtures(self.data.x[rows], generator, self.recipe.forearm, self.recipe.noise_g)
            x, share, y = torch.cat([x, more.to(device)]), share.to(device), self.data.y[rows]
            labels += [(y.to(device), share), (y[other].to(device), 1 - share)]
        said = self.net(x)  # plain and mixed at once: both make the batch's normalisation
        plain, rest = said.split([len(batch.y), len(x) - len(batch.y)])
        losses = [
            (weight * F.cross_entropy(logits, y, label_smoothing=SMOOTHING, reduction="none")).mean()
            for logits, (y, weight) in zip([plain, rest, rest], labels, strict=False)
        ]
        if self.answers is not None:
            wanted = self.answers[batch.row.cpu()].to(device)
            told = F.kl_div(plain.log_softmax(-1), wanted, reduction="batchmean")
            losses[0] = (1 - self.recipe.distil) * losses[0] + self.recipe.distil * told
        loss = torch.stack(losses).sum()
        self.note(loss=loss.detach())
        return loss


def trained(
    name: str, data: WindowSet, classes: int, recipe: Recipe, seed: int, run: Path, answers: Tensor | None = None
) -> Net:
    """A net, trained, or as an earlier call left it in run/net.safetensors."""
    torch.manual_seed(seed)
    net, path = Net(name, classes), run / "net.safetensors"
    if not restore(net, path):
        fit(NetStage(net, data, recipe, seed, answers), "net", run, "auto", AVERAGED, "bf16-mixed")
        # Averaged weights have other statistics than those that the last steps left.
        device = device_of("auto")
        torch.optim.swa_utils.update_bn(data.x.split(256), net.to(device), device)
        net.cpu()
        save_module(net, path, {"net": name})
    return net.eval()


class _Windows(CalibrationDataReader):
    def __init__(self, windows: Floats) -> None:
        self.rest = iter(windows[:, None])

    def get_next(self) -> Any:
        one = next(self.rest, None)
        return None if one is None else {"accel": one}


def plain(net: Net, windows: Floats) -> bytes:
    """Batch 1, windows (1, W, 3) -> probabilities, in float; traced with the first of some windows."""
    module = nn.Sequential(net, nn.Softmax(-1)).eval()
    with tempfile.TemporaryDirectory() as folder, quiet_root():
        traced, ready = (str(Path(folder) / name) for name in ("traced.onnx", "ready.onnx"))
        # The older exporter: the new one has no GRU.
        torch.onnx.export(
            module, (torch.from_numpy(windows[:1]),), traced, input_names=["accel"], output_names=["probabilities"],
            opset_version=OPSET, dynamo=False, external_data=False,
        )
        quant_pre_process(traced, ready)
        return Path(ready).read_bytes()


def int8(net: Net, windows: Floats) -> bytes:
    """The same in 8 bits; ranges from evenly spread windows (N, W, 3) of training people."""
    some = windows[np.linspace(0, len(windows) - 1, CALIBRATING).astype(int)]
    with tempfile.TemporaryDirectory() as folder, quiet_root():
        ready, done = (Path(folder) / name for name in ("ready.onnx", "int8.onnx"))
        ready.write_bytes(plain(net, some))
        quantize_static(
            str(ready), str(done), _Windows(some), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
        )
        model = onnx.load(done)
    strip(model)
    compact(model)
    return model.SerializeToString()


def probabilities(data: bytes, windows: Floats) -> Floats:
    """What a file says of windows (N, W, 3), one at a time: (N, classes)."""
    run = open_session(data).run
    return np.concatenate([run(["probabilities"], {"accel": one})[0] for one in windows[:, None]])
