"""Composite activities: is the sub-action that a token is given the right one? (SYSTEMS 6, shared/composite.json)

    python benchmarks/composite.py ../shared                 # fold 0, the claim: writes results/composite.json
    python benchmarks/composite.py ../shared --inner         # fold 1 instead, trained on folds 2-4: to choose by

A window of a composite class joins stretches of five primitives of one person; classes share members. Training knows a
window's class and the class's set of five, never which token is which. Tokens are what the student has: 2 s pieces as
k-means codes of each axis with offset and scale, read by one small network into a joint space with the texts of the ten
primitives. Three ways to learn from the sets (candidate-set loss; balanced targets; stretches) and every control: the
truth of tokens, shuffled membership, shuffled, random and one-hot texts, and each class known by its words only.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from common import data_folder, macro_f1, paired_over_people, write_result
from sklearn.cluster import KMeans
from torch import Tensor, nn

from mmvq_bridge.command import say
from mmvq_bridge.recordings import Recording, read_recordings
from mmvq_run.signal import Resampler, load_folds
from mmvq_train.codebook.assign import balanced, stretches
from mmvq_train.codebook.losses import action_loss
from mmvq_train.codebook.model import attribute_inputs
from mmvq_train.pieces import Layout, Pieces
from mmvq_train.text import embeddings_for, load_bank

SEEDS = 3
CODES, EMBEDDING, HIDDEN, JOINT = 64, 16, 128, 32
EPOCHS, WARM_UP, BATCH, RATE = 15, 4, 64, 2e-3  # targets are made from the fifth epoch on: before, there is no belief
SMALLEST = 40  # samples of a stretch, as the construction says

Loss = Literal["truth", "candidate", "balanced", "stretches"]
Texts = Literal["real", "shuffled", "random", "one-hot"]
Stretches = dict[tuple[str, str], list[npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Setting:
    """One model: what it learns from. `unseen`: a class of which no window is in training."""

    loss: Loss = "stretches"
    texts: Texts = "real"
    shuffled_membership: bool = False
    unseen: int | None = None


@dataclass(frozen=True)
class Windows:
    """codes int64 (N, T, 3), attributes (N, T, 3, 2), label (N,), truth (N, T) primitives, subject (N,)."""

    codes: Tensor
    attributes: Tensor
    label: Tensor
    truth: Tensor
    subject: npt.NDArray[np.str_]


class TokenModel(nn.Module):
    """Codes and attributes of a token -> its logits over the ten primitives, through their texts."""

    def __init__(self, texts: Tensor) -> None:
        super().__init__()
        self.register_buffer("texts", F.normalize(texts - texts.mean(0), dim=-1))
        self.codes = nn.ModuleList(nn.Embedding(CODES, EMBEDDING) for _ in range(3))
        self.network = nn.Sequential(
            nn.Linear(3 * (EMBEDDING + 2), HIDDEN), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(HIDDEN, JOINT),
        )
        self.project = nn.Linear(texts.shape[1], JOINT)

    def forward(self, codes: Tensor, attributes: Tensor) -> Tensor:
        """(B, T, 3) and (B, T, 3, 2) -> (B, T, M)."""
        embedded = [book(codes[..., axis]) for axis, book in enumerate(self.codes)]
        token = self.network(torch.cat([*embedded, attributes.flatten(2)], dim=-1))
        return 3 * token @ F.normalize(self.project(self.texts), dim=-1).T


def main() -> None:
    shared, inner = data_folder(), "--inner" in sys.argv
    torch.set_num_threads(1)
    plan = json.loads((shared / "composite.json").read_text())
    membership = torch.tensor(plan["membership"]).bool()
    train, test = build(shared / "data" / plan["data"], plan, test_fold="1" if inner else plan["test_fold"],
                        left_out=plan["test_fold"] if inner else None)
    settings = {
        "stretches": Setting(),
        "candidate set": Setting("candidate"),
        "balanced": Setting("balanced"),
        "truth of tokens": Setting("truth"),
        "shuffled membership": Setting(shuffled_membership=True),
        "shuffled texts": Setting(texts="shuffled"),
        "random texts": Setting(texts="random"),
        "one-hot texts": Setting(texts="one-hot"),
        "candidate set, one-hot texts": Setting("candidate", "one-hot"),
        "candidate set, random texts": Setting("candidate", "random"),
    }
    rows: dict[str, Any] = {}
    for name, setting in settings.items():
        runs = [judge(fit(setting, train, membership, plan, seed), test, membership) for seed in range(SEEDS)]
        rows[name] = summed(runs, test.subject)
        say(f"{name}: " + ", ".join(f"{k} {v['mean']:.3f}" for k, v in rows[name].items() if "mean" in v))
    words_only = []
    for unseen in range(len(membership)):
        model = fit(Setting(unseen=unseen), train, membership, plan, 0)
        own = test.label == unseen
        only = replace(test, codes=test.codes[own], attributes=test.attributes[own], label=test.label[own],
                       truth=test.truth[own], subject=test.subject[own.numpy()])
        found = judge(model, only, membership)
        words_only.append({
            "class": unseen, "within": float(found["within"].mean()), "all": float(found["all"].mean()),
            "called_by_its_name": float((found["said"] == unseen).mean()),
        })
        say(f"class {unseen} by its words only: {words_only[-1]}")
    ratio = rows["stretches"]["within"]["mean"] / rows["truth of tokens"]["within"]["mean"]
    differences = {
        f"stretches less {name}": paired(rows["stretches"], rows[name])
        for name in ("candidate set", "balanced", "shuffled texts", "random texts", "one-hot texts")
    } | {
        f"candidate set less {name}": paired(rows["candidate set"], rows[f"candidate set, {name}"])
        for name in ("random texts", "one-hot texts")
    }
    for name, difference in differences.items():
        say(f"{name}: {difference}")
    if not inner:
        write_result("composite", 0, {
            "construction": plan["about"], "test_people": sorted(set(test.subject.tolist())), "seeds": SEEDS,
            "chance": {"within": 0.2, "all": 0.1}, "share_of_token_truth": ratio, "rows": rows,
            "paired_over_people_95": differences, "known_by_words_only": words_only,
        })


def build(folder: Path, plan: dict[str, Any], test_fold: str, left_out: str | None) -> tuple[Windows, Windows]:
    """Training and test windows as the construction says; people of the fold `left_out` are in neither."""
    found = uninterrupted(folder / f"{folder.name}.parquet", plan)
    folds = load_folds(folder / "splits.json")
    whole = [s for fold in folds.values() for s in fold if all((s, p) in found for p in plan["primitives"])]
    test = [s for s in whole if s in folds[test_fold]]
    train = [s for s in whole if s not in test and s not in folds.get(left_out or "", ())]
    rng = np.random.default_rng(plan["seed"])
    drawn = [draw(found, people, plan[f"{part}_windows"], plan, rng)
             for part, people in (("train", train), ("test", test))]
    pieces = Pieces(Layout(float(plan["rate_hz"]), plan["rate_hz"] * plan["window_s"], (2.0,), (1.0,)))
    values = [pieces(torch.from_numpy(x))[0] for x, *_ in drawn]
    shapes = values[0].shape.flatten(0, 2)
    some = shapes[torch.from_numpy(rng.permutation(len(shapes))[:20_000])]
    centres = torch.from_numpy(KMeans(CODES, n_init=1, random_state=plan["seed"]).fit(some.numpy()).cluster_centers_)
    made = [
        Windows(
            (v.shape @ centres.T - 0.5 * centres.square().sum(-1)).argmax(-1), attribute_inputs(v),
            torch.from_numpy(label), torch.from_numpy(truth), subject,
        )
        for v, (_, label, truth, subject) in zip(values, drawn, strict=True)
    ]
    return made[0], made[1]


def uninterrupted(path: Path, plan: dict[str, Any]) -> Stretches:
    """For each person and primitive the stretches without a cut, at the canonical rate."""
    file = read_recordings(path)
    found: Stretches = {}

    def cut(recording: Recording) -> list[npt.NDArray[np.float32]]:
        resampler = Resampler(file.rate_hz, plan["rate_hz"])
        parts: list[list[npt.NDArray[np.float32]]] = []
        for piece in resampler.push(recording.t - recording.t[0], recording.xyz) + resampler.flush():
            if piece.fresh or not parts:
                parts.append([])
            parts[-1].append(piece.xyz)
        return [np.concatenate(part) for part in parts]

    for recording in file.recordings:
        primitive = file.labels[int(recording.label[0])]
        if primitive in plan["primitives"]:
            long = [x for x in cut(recording) if len(x) >= plan["rate_hz"] * plan["window_s"]]
            if long:
                found.setdefault((recording.subject, primitive), []).extend(long)
    return found


def draw(
    found: Stretches, people: list[str], count: int, plan: dict[str, Any], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Windows (N, 400, 3), classes (N,), each token's primitive (N, 19), people (N,)."""
    samples = plan["rate_hz"] * plan["window_s"]
    x = np.empty((count, samples, 3), dtype=np.float32)
    label, which = rng.integers(len(plan["membership"]), size=count), np.empty((count, samples), dtype=np.int64)
    subject = rng.choice(people, size=count)
    for i in range(count):
        members = rng.permutation(np.flatnonzero(plan["membership"][label[i]]))
        lengths = np.maximum(SMALLEST, (samples * rng.dirichlet([4] * len(members))).astype(int))
        lengths[-1] += samples - lengths.sum()
        if lengths[-1] < SMALLEST:
            lengths[lengths.argmax()] -= SMALLEST - lengths[-1]
            lengths[-1] = SMALLEST
        at = 0
        for member, length in zip(members, lengths, strict=True):
            choices = found[subject[i], plan["primitives"][member]]
            source = choices[rng.integers(len(choices))]
            begin = rng.integers(len(source) - length + 1)
            x[i, at : at + length] = source[begin : begin + length]
            which[i, at : at + length] = member
            at += length
    second = plan["rate_hz"]
    truth = [[np.bincount(row[t : t + 2 * second]).argmax() for t in range(0, samples - second, second)]
             for row in which]
    return x, label, np.array(truth), subject


def fit(setting: Setting, train: Windows, membership: Tensor, plan: dict[str, Any], seed: int) -> TokenModel:
    """Train one model."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = TokenModel(texts_of(setting.texts, plan, generator))
    sets = membership
    if setting.shuffled_membership:
        order = torch.randperm(len(membership), generator=generator)
        sets = torch.empty_like(membership)
        sets[order] = membership[order.roll(1)]  # each class has another's set
    rows = torch.arange(len(train.label))
    if setting.unseen is not None:
        rows = rows[train.label != setting.unseen]
    steps = EPOCHS * -(-len(rows) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        for some in rows[torch.randperm(len(rows), generator=generator)].split(BATCH):
            logits = model(train.codes[some], train.attributes[some])
            allowed = sets[train.label[some]]
            optimiser.zero_grad()
            loss_of(setting.loss, logits, allowed, train.truth[some], epoch).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def loss_of(loss: Loss, logits: Tensor, allowed: Tensor, truth: Tensor, epoch: int) -> Tensor:
    """The loss of a batch; `truth` is looked at under "truth" alone."""
    if loss == "truth":
        return F.cross_entropy(logits.flatten(0, 1), truth.flatten())
    if loss == "candidate" or epoch < WARM_UP:
        return action_loss(logits, allowed)
    inside = logits.detach().masked_fill(~allowed[:, None], float("-inf"))
    if loss == "balanced":
        return F.cross_entropy(logits.flatten(0, 1), balanced(inside, allowed).flatten(0, 1))
    return F.cross_entropy(logits.flatten(0, 1), stretches(inside, allowed).flatten())


def texts_of(kind: Texts, plan: dict[str, Any], generator: torch.Generator) -> Tensor:
    """(M, E): the sentences of the primitives as the WISDM bank has them, or what stands in for them."""
    if kind == "one-hot":
        return torch.eye(len(plan["primitives"]))
    bank = load_bank("wisdm").select(plan["primitives"])
    rows = torch.from_numpy(embeddings_for(bank)[0].of(bank.sentences))
    if kind == "random":
        return torch.randn(rows.shape, generator=generator)
    if kind == "shuffled":
        order = torch.randperm(len(rows), generator=generator)
        shuffled = torch.empty_like(rows)
        shuffled[order] = rows[order.roll(1)]
        return shuffled
    return rows


@torch.no_grad()
def judge(model: TokenModel, test: Windows, membership: Tensor) -> dict[str, npt.NDArray[Any]]:
    """within, all (N,): each window's share of tokens that are right, inside its class's set and among all ten; said
    (N,): the class whose set holds most of the tokens' probability; label (N,)."""
    logits = model(test.codes, test.attributes)
    inside = logits.masked_fill(~membership[test.label][:, None], float("-inf")).argmax(-1)
    log_p = logits.log_softmax(-1)
    sets = torch.where(membership, 0.0, float("-inf"))
    score = torch.stack([(log_p + row).logsumexp(-1).sum(1) for row in sets], dim=1)
    return {
        "within": (inside == test.truth).float().mean(1).numpy(),
        "all": (logits.argmax(-1) == test.truth).float().mean(1).numpy(),
        "said": score.argmax(-1).numpy(),
        "label": test.label.numpy(),
    }


def summed(runs: list[dict[str, npt.NDArray[Any]]], subject: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Means over seeds, each seed's value, and per person (mean over seeds)."""
    out: dict[str, Any] = {}
    for key in ("within", "all"):
        seeds = [float(run[key].mean()) for run in runs]
        out[key] = {"mean": float(np.mean(seeds)), "per_seed": seeds}
    seeds = [macro_f1(run["label"], run["said"]) for run in runs]
    out["composite_macro_f1"] = {"mean": float(np.mean(seeds)), "per_seed": seeds}
    mean = np.mean([run["within"] for run in runs], axis=0)
    out["per_person"] = {str(s): float(mean[subject == s].mean()) for s in np.unique(subject)}
    return out


def paired(one: dict[str, Any], other: dict[str, Any]) -> list[float]:
    """Mean difference of `within` over people, with its interval."""
    return paired_over_people([one["per_person"]], [other["per_person"]])


if __name__ == "__main__":
    main()
