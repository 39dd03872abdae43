"""Are the reasons true? Measured on unseen people: the student's, as its int8 file gives them, and a black box's that
are found afterwards.

    python benchmarks/explanation.py ../shared/data [SET ...]     # writes results/explanation.json

Of the models that accuracy.py left in runs/accuracy, every fold that is there; rows of models that are not stay as they
were. Input deletion (DESIGN 5) of what the student's pieces count, of gradients times input and of occlusion of WRN16-1
over the same pieces; occlusion is told by as many calls as there are pieces, and is nearly what deletion measures.
Whether file and float student agree; whether tokens are honest; whether reasons hold under noise, a shift by a sample,
a watch turned by 15 degrees.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from additive import DATA
from blackbox import Floats, Net
from common import RESULTS, asked, data_folder, slug, write_result
from deployed import RUNS, student_of
from disturbed import FOREARM
from torch import Tensor

from mmvq_bridge.command import say
from mmvq_export.gates import Outputs, compare, honesty_error, run_file, run_student
from mmvq_train.compare import noisy
from mmvq_train.data import Dataset, load_dataset
from mmvq_train.data.augment import rotation
from mmvq_train.deletion import deletion, short_spans, without
from mmvq_train.fitting import in_batches
from mmvq_train.rundir import TrainedRun, load_module, load_run

FOLDS: Final = range(5)
EVERY: Final = 4  # windows of a fold, which overlap and repeat each other, that are looked at
TOP: Final = 3
HONESTY_SEEDS: Final = 20


def main() -> None:
    folder = data_folder()
    torch.set_num_threads(1)
    before = RESULTS / "explanation.json"
    found: dict[str, Any] = json.loads(before.read_text())["data"] if before.exists() else {}
    for name in asked(DATA):
        rows: dict[str, list[dict[str, float]]] = {}
        for fold in FOLDS:
            path = student_of(name, fold)
            if path is None:
                continue
            config = replace(
                DATA[name], data=str(folder / name / f"{name}.parquet"), split=str(folder / name / "splits.json"),
                fold=fold,
            )
            run, data = load_run(path), load_dataset(config)
            some = replace(data, test=data.test.some(np.arange(0, len(data.test), EVERY)))
            for row, figures in judged(name, run, (path / "student.onnx").read_bytes(), some, fold).items():
                rows.setdefault(row, []).append(figures)
            say(f"== {name}, fold {fold}: {rows}")
        if rows:
            found[name] = found.get(name, {}) | {
                row: {"folds": len(some)} | {key: float(np.mean([one[key] for one in some])) for key in some[0]}
                for row, some in rows.items()
            }
    write_result("explanation", 0, {"windows": f"every {EVERY}th window of the tested people", "data": found})


def judged(name: str, run: TrainedRun, file: bytes, data: Dataset, fold: int) -> dict[str, dict[str, float]]:
    """Rows of one fold."""
    x, y, layout = data.test.x, data.test.y, run.student.layout
    said = run_file(file, x.numpy())
    logits = summed(said, run)
    label = logits.argmax(-1)
    spans, counted = short_spans(layout.spans_s(), of_label(said, label))
    told = deletion(
        lambda windows: summed(run_file(file, windows.numpy()), run), x, label, spans, counted, layout.rate_hz, 0
    )
    gates = compare(run_student(run.student, x.numpy()), said, y.numpy(), run.student, honesty(file, x, layout.rate_hz))
    metrics = json.loads((run.path / "metrics.json").read_text())
    rows = {
        "mmvq": told | {gate.name.replace(" ", "_").replace("-", "_"): gate.value for gate in gates}
        | stability(name, file, run, x, said, label)
        | {key: metrics["codebook"][key] for key in ("shape_error", "shape_error_kmeans")}
        | {key: metrics["explanation"][key] for key in ("sub_actions_in_set", "sub_actions_in_set_chance")}
    }
    box = RUNS / f"{name}-{fold}-{slug('WRN16-1')}" / "net.safetensors"
    if box.exists():
        net = Net("WRN16-1", len(data.labels)).eval()
        net.load_state_dict(load_module(box)[0])
        label = torch.cat(in_batches(net, x)).argmax(-1)
        ways: dict[str, Callable[[], Tensor]] = {
            "WRN16-1, gradient times input": lambda: by_gradient(net, x, label, spans, layout.rate_hz),
            "WRN16-1, occlusion": lambda: by_occlusion(net, x, label, spans, layout.rate_hz),
            "WRN16-1, at random": lambda: torch.rand(len(x), len(spans), generator=torch.Generator().manual_seed(0)),
        }
        for row, how in ways.items():
            rows[row] = deletion(
                lambda windows: torch.cat(in_batches(net, windows)), x, label, spans, how(), layout.rate_hz, 0
            )
    return rows


def summed(said: Outputs, run: TrainedRun) -> Tensor:
    """Logits, as contributions and bias add up to them."""
    return torch.from_numpy(said["contributions"].sum(1)) + run.student.bias.detach()


def of_label(said: Outputs, label: Tensor) -> Tensor:
    """What every token counts (N, T) for the windows' labels (N,)."""
    contributions = torch.from_numpy(said["contributions"])
    return contributions.gather(2, label[:, None, None].expand(-1, contributions.shape[1], 1))[..., 0]


def honesty(file: bytes, x: Tensor, rate_hz: float) -> float:
    """The largest change of a token's rows by what lies outside its span, several tokens of each length tried."""
    rng = np.random.default_rng(0)
    return max(
        honesty_error(file, x[rng.permutation(len(x))[:8]].numpy(), 1, rate_hz, seed) for seed in range(HONESTY_SEEDS)
    )


def stability(
    name: str, file: bytes, run: TrainedRun, x: Tensor, said: Outputs, label: Tensor
) -> dict[str, float]:
    """Shares of labels and codes that stay, and of the three short pieces that counted most for the label before."""
    layout, axis = run.student.layout, torch.eye(3)[["xyz".index(FOREARM[name])]]
    turned = rotation(axis, torch.tensor([np.pi / 12]).float())[0]
    disturbed = {
        "noise_of_.05_g": noisy(x, 0.05, torch.Generator().manual_seed(0)), "shift_by_a_sample": x.roll(1, dims=1),
        "turned_15_degrees": x @ turned,
    }
    top = short_spans(layout.spans_s(), of_label(said, label))[1].topk(TOP).indices
    found: dict[str, float] = {}
    for what, windows in disturbed.items():
        after = run_file(file, windows.numpy())
        now = short_spans(layout.spans_s(), of_label(after, label))[1].topk(TOP).indices
        found |= {
            f"{what}_labels": float((summed(after, run).argmax(-1) == label).float().mean()),
            f"{what}_codes": float((after["codes"] == said["codes"]).mean()),
            f"{what}_reasons": float((top[:, :, None] == now[:, None]).any(-1).float().mean()),
        }
    return found


def by_gradient(net: Net, x: Tensor, label: Tensor, spans: Floats, rate_hz: float) -> Tensor:
    """Gradient of the label's logit times what a sample has more than the window's mean, summed over a piece (N, P)."""
    counted = []
    for windows, own in zip(x.split(256), label.split(256), strict=True):
        leaf = windows.clone().requires_grad_()
        net(leaf).gather(1, own[:, None]).sum().backward()
        assert leaf.grad is not None
        each = (leaf.grad * (windows - windows.mean(1, keepdim=True))).sum(-1)
        begins = [(round(float(t) * rate_hz), round(float(t + length) * rate_hz)) for t, length in spans]
        counted.append(torch.stack([each[:, begin:end].sum(1) for begin, end in begins], dim=1))
    return torch.cat(counted)


@torch.no_grad()
def by_occlusion(net: Net, x: Tensor, label: Tensor, spans: Floats, rate_hz: float) -> Tensor:
    """What the label's logit loses when the window's mean stands in the place of a piece (N, P)."""
    whole = torch.cat(in_batches(net, x)).gather(1, label[:, None])
    less = [
        torch.cat(in_batches(net, torch.stack([without(one, span[None], rate_hz) for one in x]))) for span in spans
    ]
    return torch.cat([whole - logits.gather(1, label[:, None]) for logits in less], dim=1)


if __name__ == "__main__":
    main()
