"""VQShape's pre-training: the schedule, a run that is stopped and goes on, and the files that it leaves."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmvq_bridge.command import BadInput
from mmvq_train.fitting import resumable
from mmvq_train.vqshape import PRESETS, Recipe, VQShape, VQShapeConfig, load_vqshape, pretrain
from mmvq_train.vqshape.stage import Pretraining, rate
from mmvq_train.vqshape.training import MODEL

TINY = VQShapeConfig(
    samples=64, patch=8, tokens=8, width=16, heads=2, encoder_layers=1, tokenizer_layers=1, decoder_layers=1,
    codes=6, code_dim=3, points=16,
)  # fmt: skip
QUICK = Recipe(batch=8, epochs=3, warm_up=2, leg=3, learning_rate=1e-3)  # 20 series: 2 steps an epoch, 6 in 2 legs


def series(count: int = 20) -> torch.Tensor:
    """Waves of 50 samples."""
    t = torch.linspace(0, 1, 50)
    rate = 1 + torch.arange(count)[:, None] % 3
    return torch.sin(2 * torch.pi * rate * t) + 0.1 * torch.randn(count, 50, generator=torch.Generator().manual_seed(0))


def run(out: Path, recipe: Recipe = QUICK, **options) -> VQShape:
    return pretrain(TINY, series(), out, recipe, accelerator="cpu", **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests leave it as it is."""
    out = tmp_path_factory.mktemp("vqshape") / "run"
    run(out)
    return out


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped by Ctrl-C in its second leg."""
    plain = Pretraining.training_step

    def interrupted(self: Pretraining, batch: torch.Tensor, number: int) -> torch.Tensor:
        if self.global_step == 5:
            raise KeyboardInterrupt
        return plain(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run")
    return tmp_path / "run"


def same(a: VQShape, b: VQShape) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# Schedule and order


def test_the_rate_rises_along_a_line_and_falls_along_a_cosine_to_a_tenth():
    recipe = Recipe()
    assert rate(0, 3000, recipe) == pytest.approx(1 / 1000)
    assert rate(499, 3000, recipe) == pytest.approx(0.5)
    assert rate(1000, 3000, recipe) == pytest.approx(1.0)
    assert rate(2000, 3000, recipe) == pytest.approx(0.55)
    assert rate(3000, 3000, recipe) == pytest.approx(0.1)


def test_a_run_shorter_than_the_warm_up_warms_up_for_half_of_it():
    assert rate(49, 100, Recipe()) == pytest.approx(1.0)
    assert rate(0, 1, Recipe()) == pytest.approx(1.0)


def test_an_epoch_shows_each_series_once_wherever_legs_begin():
    stage = Pretraining(TINY, QUICK, series(), seed=1)
    assert (stage.steps, stage.legs) == (6, 2)
    whole = stage.order(0, 6)
    assert torch.equal(torch.cat([stage.order(0, 3), stage.order(3, 5), stage.order(5, 6)]), whole)
    epochs = whole.view(3, 16)
    assert all(len(set(epoch.tolist())) == 16 for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_fewer_series_than_a_batch_are_one_batch():
    stage = Pretraining(TINY, replace(QUICK, batch=2048, max_steps=2), series(5), seed=0)
    assert (stage.batch, stage.steps) == (5, 2)


def test_both_presets_can_be():
    for config, recipe in PRESETS.values():
        config.check()
        recipe.check()
    assert PRESETS["full"] == (VQShapeConfig(), Recipe())


# Runs


def test_a_finished_run_holds_its_model_configuration_and_curve_and_no_checkpoint(finished: Path):
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert files == {MODEL, "config.json", "log/curve-0/metrics.csv"}
    assert json.loads((finished / "config.json").read_text())["model"]["width"] == 16


def test_pre_training_makes_the_losses_smaller(tmp_path: Path):
    recipe = replace(QUICK, epochs=20, leg=100, learning_rate=3e-3)
    run(tmp_path / "run", recipe)
    rows = np.genfromtxt(tmp_path / "run/log/curve-0/metrics.csv", delimiter=",", names=True)
    assert rows["total"][-2:].mean() < rows["total"][:2].mean() - 0.05


def test_the_same_seed_gives_the_same_model_and_another_seed_another(finished: Path, tmp_path: Path):
    assert same(run(tmp_path / "again"), load_vqshape(finished))
    assert not same(run(tmp_path / "other", seed=1), load_vqshape(finished))


def test_a_stopped_run_goes_on_to_what_the_uninterrupted_one_gives(stopped: Path, finished: Path, capsys):
    assert not (stopped / MODEL).exists()
    assert (stopped / "log/vqshape.ckpt").exists()
    assert same(run(stopped), load_vqshape(finished))
    assert "going on from" in capsys.readouterr().err
    assert not (stopped / "log/vqshape.ckpt").exists()
    assert (stopped / "log/curve-1/metrics.csv").exists()
    assert (stopped / "log/curve-0/metrics.csv").exists(), "the curve before it was stopped is kept"


def test_a_finished_run_is_only_read(finished: Path):
    before = (finished / MODEL).stat().st_mtime_ns
    assert same(run(finished), load_vqshape(finished))
    assert (finished / MODEL).stat().st_mtime_ns == before


@pytest.mark.parametrize("what", ["leg", "codes", "seed", "data"])
def test_a_run_with_other_options_is_not_gone_on_with(what: str, stopped: Path):
    config = replace(TINY, codes=7) if what == "codes" else TINY
    recipe = replace(QUICK, leg=2) if what == "leg" else QUICK
    x = series() + (what == "data")
    with pytest.raises(BadInput, match=f"a run with another {what}"):
        pretrain(config, x, stopped, recipe, seed=int(what == "seed"), accelerator="cpu")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_broken_checkpoint_is_named(content: bytes, stopped: Path):
    (stopped / "log/vqshape.ckpt").write_bytes(content)
    with pytest.raises(BadInput, match=r"vqshape\.ckpt: cannot be gone on from; remove it"):
        run(stopped)


@pytest.mark.parametrize(
    "program", [b".", b"h\x05.", b"\x86.", b"NR.", b"NNs.", b"NQ.", b"NNb.", b"X\xff\xff", b"N.", b"}."], ids=repr
)
def test_a_checkpoint_with_a_damaged_pickle_is_named(program: bytes, tmp_path: Path):
    whole, path = tmp_path / "whole.ckpt", tmp_path / "stage.ckpt"
    stage = torch.nn.Linear(3, 2)
    torch.save({"state_dict": stage.state_dict()}, whole)
    assert resumable(whole, stage) == str(whole)
    with zipfile.ZipFile(whole) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, b"\x80\x02" + program if name.endswith("data.pkl") else good.read(name))
    with pytest.raises(BadInput, match=r"stage\.ckpt: cannot be gone on from; remove it"):
        resumable(path, stage)


@pytest.mark.parametrize("stage", [torch.nn.Linear(3, 4), torch.nn.Linear(3, 2, bias=False)], ids=["shape", "names"])
def test_a_checkpoint_of_another_stage_is_named(stage: torch.nn.Module, tmp_path: Path):
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict()}, tmp_path / "stage.ckpt")
    with pytest.raises(BadInput, match=r"stage\.ckpt: cannot be gone on from; remove it"):
        resumable(tmp_path / "stage.ckpt", stage)


def test_a_checkpoint_that_would_run_code_is_refused(stopped: Path, tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": Trap()}, stopped / "log/vqshape.ckpt")
    with pytest.raises(BadInput, match="cannot be gone on from"):
        run(stopped)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"model": 3}'])
def test_a_config_json_that_is_none_is_named(content: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BadInput, match=r"config\.json: not the configuration of a VQShape run"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(0, 50), "one or more"),
        (torch.zeros(3, 2, 50), "one or more"),
        (torch.zeros(3, 1), "one or more"),
        (torch.tensor([[0.0, 1.0], [0.0, float("nan")]]), "series 1 .* no number"),
    ],
)
def test_series_that_cannot_be_learnt_from_are_refused_before_there_is_a_directory(x, said: str, tmp_path: Path):
    with pytest.raises(BadInput, match=said):
        pretrain(TINY, x, tmp_path / "run", QUICK, accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match="torch sees no GPU"):
        pretrain(TINY, series(), tmp_path / "run", QUICK, accelerator="gpu")


@pytest.mark.parametrize("option", [{"devices": "many"}, {"strategy": "no such"}])
def test_devices_that_lightning_does_not_know_are_one_line(option: dict, tmp_path: Path):
    with pytest.raises(BadInput, match="--devices, --strategy or --precision as given"):
        run(tmp_path / "run", **option)


def test_a_constant_series_does_not_break_a_step(tmp_path: Path):
    x = torch.cat([series(8), torch.ones(8, 50)])
    model = pretrain(TINY, x, tmp_path / "run", replace(QUICK, max_steps=2), accelerator="cpu")
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_half_precision_keeps_codes_and_places_in_full(tmp_path: Path):
    model = run(tmp_path / "run", replace(QUICK, max_steps=2, precision="bf16-mixed"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(series()[:, :48].repeat(1, 2)[:, :64])
    assert {out.attributes.t.dtype, out.quantised.distance.dtype, out.series.dtype, out.shapes.dtype} == {torch.float32}


# Model files


def broken(finished: Path, folder: Path) -> Path:
    copy = folder / "copy"
    shutil.copytree(finished, copy)
    return copy


def rewritten(path: Path, state: dict[str, torch.Tensor], about: object) -> None:
    save_file(state, path, metadata={"mmvq": json.dumps(about)})


def test_a_model_file_cut_short_is_named(finished: Path, tmp_path: Path):
    file = broken(finished, tmp_path) / MODEL
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"vqshape\.safetensors: not a whole mmvq safetensors file"):
        load_vqshape(file)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"stage": "student"}, "holds no VQShape model"),
        ([], "holds no VQShape model"),
        ({"stage": "vqshape"}, "configuration has other keys"),
        ({"stage": "vqshape", "config": TINY.__dict__ | {"width": 10**9}}, "--width 1e.09 lies outside"),
        ({"stage": "vqshape", "config": TINY.__dict__ | {"codes": 7}}, "weights do not fit"),
    ],
)
def test_a_model_file_of_something_else_is_named(about: object, said: str, finished: Path, tmp_path: Path):
    run_directory = broken(finished, tmp_path)
    rewritten(run_directory / MODEL, load_file(run_directory / MODEL), about)
    with pytest.raises(BadInput, match=rf"vqshape\.safetensors: .*{said}"):
        load_vqshape(run_directory)


def test_a_model_that_is_not_there_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(BadInput, match="mmvq-vqshape pretrain"):
        load_vqshape(tmp_path)
