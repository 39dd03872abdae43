"""The configuration: what the command line makes of words, and config.yaml as its replay."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mmvq_bridge.command import BadInput
from mmvq_train import __version__
from mmvq_train.cli import main, parse
from mmvq_train.config import (
    PRESETS,
    CodebookConfig,
    Config,
    PiecesConfig,
    StudentConfig,
    TeachersConfig,
    WorkspaceConfig,
)
from mmvq_train.config_file import from_yaml, to_yaml


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "config",
    [
        *PRESETS.values(),
        Config(data="µ.csv", seed=7, pieces=PiecesConfig((1.0,), (0.5,), magnitude=True)),
        Config(codebook=CodebookConfig(joint=True, texts=("keywords", "negative"), floor=math.inf)),
        Config(codebook=CodebookConfig(text="none", actions=9), workspace=WorkspaceConfig(orientation="near")),
    ],
)
def test_yaml_gives_back_the_configuration_that_was_written(config: Config, tmp_path: Path):
    assert from_yaml(written(tmp_path, to_yaml(config))) == config


def test_yaml_is_complete():
    text = to_yaml(Config())
    for key in ("rate_hz", "train_hop_s", "lengths_s", "commitment", "image", "orientation", "piece_dropout"):
        assert f"{key}:" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour: red\n", "unknown key colour"),
        ("codebook:\n  sise: 3\n", "codebook: unknown key sise"),
        ("codebook: 3\n", "codebook: expected keys and values, found int"),
        ("- a\n- b\n", "expected keys and values, found list"),
        ("", "expected keys and values, found NoneType"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_a_broken_configuration_is_refused_with_the_place(text: str, told: str, tmp_path: Path):
    path = written(tmp_path, text)
    with pytest.raises(BadInput) as refused:
        from_yaml(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_configuration_that_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(BadInput, match="cannot be read"):
        from_yaml(path)


@pytest.mark.parametrize(
    "text", ["seed: many\n", "codebook:\n  epochs: many\n", "rate_hz: null\n", "pieces:\n  lengths_s: 3\n"]
)
def test_a_value_of_the_wrong_type_is_refused_with_its_key(text: str, tmp_path: Path):
    key = text.split(":")[-2].split()[-1]
    with pytest.raises(BadInput, match=key):
        from_yaml(written(tmp_path, text))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (Config(rate_hz=0.5), "--rate-hz 0.5"),
        (Config(window_s=0.3), "--window-s 0.3"),
        (Config(hop_s=0.0), "--hop-s 0"),
        (Config(hop_s=11.0), "--hop-s 11"),
        (Config(train_hop_s=-1.0), "--train-hop-s -1"),
        (Config(pieces=PiecesConfig((1.0, 2.0), (1.0,))), "differ in number"),
        (Config(pieces=PiecesConfig((), ())), "--pieces.lengths-s"),
        (Config(pieces=PiecesConfig((0.0,), (1.0,))), "over 0"),
        (Config(codebook=CodebookConfig(size=1)), "--codebook.size 1"),
        (Config(codebook=CodebookConfig(alone=0.6, settled=0.5)), "--codebook.settled"),
        (Config(codebook=CodebookConfig(floor=0.9)), "--codebook.floor 0.9"),
        (Config(student=StudentConfig(mixed=0, forearm="x")), "--student.forearm mirrors"),
        (Config(codebook=CodebookConfig(texts=())), "--codebook.texts is empty"),
        (Config(codebook=CodebookConfig(target="attention")), "--codebook.fusion True"),
        (Config(codebook=CodebookConfig(joint=True), pieces=PiecesConfig(magnitude=True)), "--codebook.joint"),
        (Config(student=StudentConfig(epochs=0)), "epochs"),
        (Config(workspace=WorkspaceConfig(dim=30, heads=4)), "--workspace.dim"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_in_one_line(config: Config, told: str):
    with pytest.raises(BadInput) as refused:
        config.check()
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "bad",
    [
        Config(rate_hz=float("nan")),
        Config(window_s=float("inf")),
        Config(codebook=CodebookConfig(dim=0)),
        Config(codebook=CodebookConfig(batch=0)),
        Config(student=StudentConfig(batch=-1)),
        Config(student=StudentConfig(width=0)),
        Config(student=StudentConfig(piece_dropout=1.0)),
        Config(student=StudentConfig(average=2.0)),
        Config(student=StudentConfig(learning_rate=-1.0)),
        Config(workspace=WorkspaceConfig(heads=0)),
        Config(workspace=WorkspaceConfig(slots=0)),
        Config(teachers=TeachersConfig(depth=11)),
        Config(teachers=TeachersConfig(use=("signal", "gramian:17-1"))),
        Config(teachers=TeachersConfig(use=("topology",))),
        Config(teachers=TeachersConfig(use=("none", "signal"))),
        Config(teachers=TeachersConfig(use=("random-codebook",))),
        Config(teachers=TeachersConfig(use=("codebook", "codebook"))),
        Config(teachers=TeachersConfig(use=("signal:16-0",))),
        Config(teachers=TeachersConfig(use=())),
        Config(teachers=TeachersConfig(image=1)),
        Config(seed=-1),
    ],
)
def test_other_impossible_values_are_refused_before_any_work(bad: Config):
    with pytest.raises(BadInput):
        bad.check()


@pytest.mark.parametrize("name", ["small", "full"])
def test_presets_can_be_used_and_know_their_name(name: str):
    config, resumed = parse(["--preset", name])
    config.check()
    assert resumed is None
    assert config.preset == name


def test_no_word_at_all_means_preset_small():
    assert parse([]) == (PRESETS["small"], None)


def test_options_change_what_the_preset_gives():
    config, _ = parse(["--preset", "full", "--codebook.size", "64", "--seed", "3", "--pieces.lengths-s", "1", "2"])
    full = PRESETS["full"]
    assert config.codebook == replace(full.codebook, size=64)
    assert config.teachers == full.teachers
    assert (config.seed, config.pieces.lengths_s) == (3, (1.0, 2.0))


def test_switches_take_true_or_false():
    config, _ = parse(["--codebook.fusion", "True", "--codebook.joint", "False"])
    assert (config.codebook.fusion, config.codebook.joint) == (True, False)


def test_teachers_are_read_from_words_with_their_size_and_number():
    words = ["signal", "signal:28-3", "random-gramian", "signal:28-3", "signal:28-3", "codebook", "persistence"]
    config, _ = parse(["--teachers.use", *words, "--teachers.width", "2"])
    assert [(t.name, t.kind, t.depth, t.width, t.trained, t.number) for t in config.teachers.wanted] == [
        ("signal", "signal", 16, 2, True, 0),
        ("signal-28-3", "signal", 28, 3, True, 0),
        ("random-gramian", "gramian", 16, 2, False, 0),
        ("signal-28-3-2", "signal", 28, 3, True, 1),
        ("signal-28-3-3", "signal", 28, 3, True, 2),
        ("codebook", "codebook", 16, 2, True, 0),
        ("persistence", "persistence", 16, 2, True, 0),
    ]
    assert TeachersConfig(use=("none",)).wanted == ()


def test_lengths_beyond_the_window_shrink_to_it_once():
    pieces = PiecesConfig((0.5, 2.0, 4.0, 10.0), (0.5, 1.0, 1.0, 1.0), views=("axes",))
    layout = Config(window_s=3.0, pieces=pieces).layout
    assert layout.lengths_s == (0.5, 2.0, 3.0)
    assert len(layout.hops_s) == 3
    assert layout.window == 60


def test_resume_takes_no_other_option():
    assert parse(["--resume", "runs/x"])[1] == "runs/x"
    with pytest.raises(BadInput, match="--seed"):
        parse(["--resume", "runs/x", "--seed", "3"])


def test_resume_takes_no_preset():
    with pytest.raises(BadInput, match="--preset"):
        parse(["--resume", "runs/x", "--preset", "full"])


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_end_well(word: str, command):
    ended = command(main, word)
    assert ended.status == 0
    assert ("--codebook.size" in ended.out) if word == "--help" else (ended.out == f"mmvq-train {__version__}\n")


@pytest.mark.parametrize("words", [["--colour", "red"], ["--seed", "many"], ["--preset", "huge"], ["file.csv"]])
def test_a_wrong_option_is_wrong_usage_without_a_traceback(words: list[str], command):
    ended = command(main, *words)
    assert ended.status == 2
    assert ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--window-s", "-1"], "--window-s"),
        (["--data", "nowhere.parquet"], "nowhere.parquet"),
        (["--resume", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_with_status_2(words: list[str], told: str, command, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = command(main, *words)
    assert ended.status == 2
    last = ended.err.splitlines()[-1]
    assert last.startswith("mmvq-train: ")
    assert told in last
