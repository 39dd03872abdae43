"""mmvq-bank from the command line: what it prints, where it writes, and how it ends."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from mmvq_bridge.command import BadInput
from mmvq_train import __version__
from mmvq_train.text import endpoint, load_bank
from mmvq_train.text.cli import main, read_labels

PHRASES = {
    "clapping": ("palms slap together", "hands spring apart", "forearms point up", "hand lifts", "hand lowers"),
    "jogging": ("landing jolts the arm", "elbow forms a right angle", "fist pumps", "wrist drops", "wrist rises"),
    "sitting": ("forearm stays still", "hand lies on the thigh", "hand lifts", "hand lowers", "palm turns over"),
    "walking": ("wrist swings forward", "wrist swings back", "arm hangs at the side", "foot jolts arm", "arm turns"),
}


def written(folder: Path, phrases: dict[str, tuple[str, ...]] = PHRASES) -> Path:
    """A bank file, one value a line."""
    activities = {
        label: {
            "text": f"a person is {label}", "keywords": [label], "sentence": f"A person is {label} for a while.",
            "affirmative": [f"This person is {label}."], "negative": ["This person does not swim."],
            "sub_actions": [{"arm": arm, "leg": "feet stay", "wrist_observable": True} for arm in arms],
        }
        for label, arms in phrases.items()
    }
    provenance = {"author": "a person", "prompt": "", "model": "", "date": "2026-11-25"}
    path = folder / "mine.json"
    root = {"schema": 1, "name": "mine", "provenance": provenance, "activities": activities}
    path.write_text(json.dumps(root, indent=1))
    return path


def line_of(path: Path, text: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("words", [["--help"], ["write", "--help"], ["report", "--help"]])
def test_help_teaches(words: list[str], command) -> None:
    ended = command(main, *words)
    assert ended.status == 0
    assert "usage: mmvq-bank" in ended.out


def test_the_version_is_that_of_mmvq(command) -> None:
    assert command(main, "--version").out == f"mmvq-bank {__version__}\n"


@pytest.mark.parametrize("words", [[], ["sing"], ["check"], ["report", "wisdm"], ["write", "walking", "--out", "b"]])
def test_a_wrong_command_is_one_line_with_status_2(words: list[str], command) -> None:
    ended = command(main, *words)
    assert ended.status == 2
    assert ended.err.startswith("mmvq-bank: ")
    assert ended.err.count("\n") == 1


def test_check_of_a_shipped_bank_by_name_has_nothing_to_warn_of(command) -> None:
    ended = command(main, "check", "selfback")
    assert (ended.status, ended.out) == (0, "")
    assert "9 activities, 90 sub-actions, 100% of which a wrist can see" in ended.err
    assert "all-MiniLM-L6-v2, up to date; 0 warnings" in ended.err


def test_check_names_the_line_of_every_warning(command, tmp_path: Path) -> None:
    bank = written(tmp_path, PHRASES | {"jogging": ("fist pumps quickly", *PHRASES["jogging"][1:])})
    ended = command(main, "check", bank)
    assert ended.status == 0
    line = line_of(bank, "quickly")
    assert ended.out == (
        f"{bank}:{line}: activities.jogging.sub_actions[0].arm: 'quickly' is an adverb: say what moves, not how\n"
    )
    assert f"no embeddings beside it: mmvq-bank embed {bank}; 1 warning" in ended.err


def test_check_reads_a_bank_in_utf_16_and_counts_its_lines_alike(command, tmp_path: Path) -> None:
    bank = written(tmp_path, PHRASES | {"jogging": ("fist pumps quickly", *PHRASES["jogging"][1:])})
    line = line_of(bank, "quickly")
    bank.write_bytes(bank.read_text().encode("utf-16"))
    ended = command(main, "check", bank)
    assert ended.status == 0
    assert ended.out.startswith(f"{bank}:{line}: ")


def test_check_with_recordings_tells_the_claims_that_the_signal_does_not_bear_out(
    command, small_file: Path, tmp_path: Path
) -> None:
    bank = written(tmp_path, PHRASES | {"sitting": ("arm beats in a rhythm", *PHRASES["sitting"][1:])})
    ended = command(main, "check", bank, "--data", small_file)
    assert ended.status == 0
    line = line_of(bank, "arm beats in a rhythm")
    assert f"{bank}:{line}: activities.sitting.sub_actions[0].arm: claims rhythm, which the signal" in ended.out
    assert "claims about the signal hold on" in ended.err


def test_check_names_a_label_of_the_data_that_the_bank_lacks(command, small_file: Path, tmp_path: Path) -> None:
    bank = written(tmp_path, {label: PHRASES[label] for label in ("sitting", "walking")})
    ended = command(main, "check", bank, "--data", small_file)
    assert ended.status == 2
    assert "the bank lacks 'clapping', 'jogging'" in ended.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["check", "embed", "report"])
@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not a text bank"), ('{"schema": 1,\n "name": 3}', "mine.json:1: provenance: is missing")],
)
def test_a_broken_bank_is_refused_in_one_line(name: str, text: str, told: str, command, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(text)
    out = ["--out", tmp_path / "page.html"] if name == "report" else []
    ended = command(main, name, tmp_path / "mine.json", *out)
    assert ended.status == 2
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]


def test_a_bank_that_is_not_there_is_refused_with_the_shipped_names(command) -> None:
    ended = command(main, "check", "nobody")
    assert ended.status == 2
    assert "the name of a shipped one: basicmotions, epilepsy, geneactiv, pamap2, selfback, wisdm" in ended.err


def test_embed_writes_beside_the_bank_and_check_finds_it(command, tmp_path: Path) -> None:
    bank = written(tmp_path)
    ended = command(main, "embed", bank, "--encoder", "hashed-ngrams")
    assert ended.status == 0
    with safe_open(str(tmp_path / "mine.safetensors"), framework="numpy") as file:
        meta = json.loads(file.metadata()["mmvq"])
        rows = file.get_tensor("rows")
    assert meta["encoder"] == "hashed-ngrams"
    assert tuple(meta["texts"]) == load_bank(bank).texts
    assert len(rows) == len(meta["texts"])
    assert "hashed-ngrams, up to date" in command(main, "check", bank).err


@pytest.mark.parametrize("name", ["check", "report"])
def test_embeddings_of_other_text_are_refused_and_the_remedy_works(name: str, command, tmp_path: Path) -> None:
    bank = written(tmp_path)
    assert command(main, "embed", bank, "--encoder", "hashed-ngrams").status == 0
    written(tmp_path, PHRASES | {"sitting": ("hand waves", *PHRASES["sitting"][1:])})
    out = ["--out", tmp_path / "page.html"] if name == "report" else []
    ended = command(main, name, bank, *out)
    assert ended.status == 2
    told = ended.err.splitlines()[-1]
    assert "stale, it was made from other text: the bank's 'hand waves' is not in it" in told
    assert told.endswith(f"make it anew: mmvq-bank embed {bank}")
    assert command(main, "embed", bank, "--encoder", "hashed-ngrams").status == 0
    assert command(main, "check", bank).status == 0


def test_an_encoder_that_is_not_there_is_one_line_and_leaves_the_old_file(command, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    bank = written(tmp_path)
    assert command(main, "embed", bank, "--encoder", "hashed-ngrams").status == 0
    before = (tmp_path / "mine.safetensors").read_bytes()
    ended = command(main, "embed", bank, "--encoder", tmp_path / "nowhere")
    assert ended.status == 2
    assert ended.err.startswith(f"mmvq-bank: {tmp_path / 'nowhere'}: no sentence encoder could be loaded")
    assert ended.err.count("\n") == 1
    assert (tmp_path / "mine.safetensors").read_bytes() == before


def test_a_size_of_action_codebook_that_cannot_be_is_refused(command, tmp_path: Path) -> None:
    bank = written(tmp_path)
    assert command(main, "embed", bank, "--encoder", "hashed-ngrams").status == 0
    ended = command(main, "report", bank, "--out", tmp_path / "page.html", "--size", 7)
    assert ended.status == 2
    assert "7 entries asked for; give 12 to 64 for 4 activities" in ended.err


def test_labels_come_as_names_or_a_text_file_or_recordings(small_file: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("rowing\n\n nordic walking \n")
    (tmp_path / "data.csv").write_text("recording,subject,label,t_ms,x,y,z\n1,a,rowing,0,0,0,1\n1,a,rowing,50,0,0,1\n")
    assert read_labels("rowing, nordic walking") == ["rowing", "nordic walking"]
    assert read_labels(str(tmp_path / "labels.txt")) == ["rowing", "nordic walking"]
    assert read_labels(str(tmp_path / "data.csv")) == ["rowing"]
    assert read_labels(str(small_file)) == list(PHRASES)
    with pytest.raises(BadInput, match="label 'a' stands there twice"):
        read_labels("a,b,a")
    with pytest.raises(BadInput, match="no label in it"):
        read_labels(" , ")
    (tmp_path / "junk").write_bytes(b"\xff\xfe\x00junk")
    with pytest.raises(BadInput, match="neither recordings nor a text file"):
        read_labels(str(tmp_path / "junk"))


def test_writing_needs_an_endpoint_that_answers_and_says_so_in_one_line(command, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("openai", reason="openai is not installed")
    monkeypatch.setattr(endpoint, "RETRIES", 0)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    out = tmp_path / "b.json"
    ended = command(
        main, "write", "rowing", "--out", out, "--endpoint", "http://127.0.0.1:9/v1", "--model", "any"
    )
    assert ended.status == 1
    assert "is the server running, and --endpoint right?" in ended.err
    assert ended.err.count("\n") == 1
    assert "sk-secret" not in ended.err + ended.out + (tmp_path / "b.answers.jsonl").read_text()
    assert not out.exists()
