"""bank -> codebook -> teachers -> student -> figures: the stages in order, each skipped if its file is there."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from mmvq_bridge.command import say
from mmvq_train import __version__
from mmvq_train.calibrate import calibrate
from mmvq_train.codebook import CodebookStage, ShapeCodebook, TextTargets, controlled
from mmvq_train.compare import compare
from mmvq_train.config import Config, TeacherSpec
from mmvq_train.data import Dataset
from mmvq_train.evaluate import ablation_rows, codebook_figures, explanation_figures, judge
from mmvq_train.fitting import device_of, fit
from mmvq_train.names import associations, describe_codes
from mmvq_train.report import write_report
from mmvq_train.rundir import restore, save_module, write_calibration, write_json
from mmvq_train.student import Lessons, Student, StudentStage
from mmvq_train.student.model import make_student
from mmvq_train.student.teacher import SelfTeacher
from mmvq_train.student.tokens import copies_of
from mmvq_train.teachers import CodebookTeacher, Knowledge, Teacher, TeacherStage, knowledge_of, make_teacher
from mmvq_train.text import (
    Bank,
    Embeddings,
    build_action_codebook,
    embeddings_for,
    embeddings_path,
    label_embeddings,
    resolve_bank,
    save_bank,
    save_embeddings,
)

SELF_SEED: Final = 1_000_003  # added to the seed of a student that teaches: it starts from other weights


@dataclass(frozen=True)
class Text:
    """The bank as stages need it: texts of the M sub-actions, targets of which membership is in label order, and the
    targets that training sees (a control's, or none)."""

    entries: tuple[str, ...]
    targets: TextTargets
    seen: TextTargets | None


@dataclass(frozen=True)
class Learnt:
    """What the stages of a run gave. seconds: of each, over all attempts."""

    text: Text
    codebook: ShapeCodebook
    teachers: dict[str, Teacher]
    student: Student
    seconds: dict[str, float]


def train(config: Config, data: Dataset, run: Path) -> dict[str, Any]:
    """Run (or finish) all stages in `run`; returns the metrics. Raises BadInput for an unusable bank."""
    learnt = learn(config, data, run)
    with _Clock(run).stage("figures"):
        return _figures(config, data, learnt, run)


def learn(config: Config, data: Dataset, run: Path, known: dict[str, Knowledge] | None = None) -> Learnt:
    """As `train`, without figures and report.

    known: what teachers said in an earlier run with the same teachers, data and copies, by name; it is added to.
    """
    clock = _Clock(run)
    for notice in data.notices:
        say(notice)
    say(
        f"{data.name}: {len(data.train)} windows to train, {len(data.calibrate)} to calibrate, {len(data.test)} to "
        f"test; {len(data.labels)} labels, {data.subjects} wearer{'s' * (data.subjects != 1)}, split by {data.split}"
    )
    with clock.stage("bank"):
        text = _bank(config, data, run)
    codebook = _codebook(config, data, text, run, clock)
    teachers = _teachers(config, data, text, codebook, run, clock)
    student = _student(config, data, text, codebook, teachers, run, clock, {} if known is None else known)
    return Learnt(text, codebook, teachers, student, clock.seconds)


def _bank(config: Config, data: Dataset, run: Path) -> Text:
    """Take the bank (the run's own, once it has one), embed it, and make the action codebook."""
    own = run / "bank.json"
    bank, notice = resolve_bank(str(own) if own.exists() else config.bank, data.labels)  # in the labels' order
    embeddings, embedding_notice = embeddings_for(bank)
    for line in (notice, embedding_notice):
        if line:
            say(line)
    if not own.exists():
        save_embeddings(embeddings, embeddings_path(own))
        save_bank(bank, own)
    entries, targets = text_targets(config, bank, embeddings)
    say(f"text bank {bank.name!r} ({embeddings.encoder}): {len(entries)} sub-actions in the action codebook")
    if config.codebook.text not in ("real", "none"):
        say(f"control: texts are {config.codebook.text}, so what codes are called means nothing")
    return Text(entries, targets, controlled(targets, config.codebook.text, config.seed))


def text_targets(config: Config, bank: Bank, embeddings: Embeddings) -> tuple[tuple[str, ...], TextTargets]:
    """Texts of the M entries of the action codebook that the bank's activities use, and what they are as targets."""
    actions = build_action_codebook(bank, embeddings, config.codebook.actions)
    used = np.flatnonzero(actions.membership.any(0))
    return tuple(actions.entries[i] for i in used), TextTargets(
        torch.from_numpy(actions.embeddings[used]),
        torch.from_numpy(actions.membership[:, used]),
        torch.from_numpy(label_embeddings(bank, embeddings, config.codebook.texts)),
    )


def _codebook(config: Config, data: Dataset, text: Text, run: Path, clock: "_Clock") -> ShapeCodebook:
    path = run / "codebook.safetensors"
    stage = CodebookStage(config, data.train, len(data.labels), text.seen)
    if not restore(stage.model, path):
        with clock.stage("codebook"):
            fit(stage, "codebook", run, config.accelerator)
        stage.model.freeze()
        save_module(stage.model, path, {"stage": "codebook", "mmvq": __version__})
    return stage.model.eval().requires_grad_(False)


def _teachers(
    config: Config, data: Dataset, text: Text, codebook: ShapeCodebook, run: Path, clock: "_Clock"
) -> dict[str, Teacher]:
    """The wanted teachers by name, trained or already there."""
    teachers: dict[str, Teacher] = {}
    for spec in config.teachers.wanted:
        if spec.kind == "codebook":
            teachers[spec.name] = CodebookTeacher(codebook)
            continue
        path = run / "teachers" / f"{spec.name}.safetensors"
        teacher: Teacher
        if spec.kind == "self":
            teacher = SelfTeacher(make_student(config, len(data.labels), len(text.entries)))
        else:
            teacher = make_teacher(spec, len(data.labels), config.teachers.image, config.seed)
        if not restore(teacher, path):
            with clock.stage(f"teacher {spec.name}"):
                taught = _taught(spec, config, data, text, codebook, run)
            save_module(taught, path, {"stage": spec.name, "mmvq": __version__})
            restore(teacher, path)
        teachers[spec.name] = teacher
    return teachers


def _taught(
    spec: TeacherSpec, config: Config, data: Dataset, text: Text, codebook: ShapeCodebook, run: Path
) -> Teacher:
    """Train one."""
    name = f"teacher-{spec.name}"
    if spec.kind == "self":
        alone = replace(config, seed=(config.seed + SELF_SEED * (1 + spec.number)) % 2**32)
        return SelfTeacher(_learnt(alone, data, text, codebook, _lessons(alone, data.train.x, {}, {}), None, run, name))
    stage = TeacherStage(spec, config, data.train, len(data.labels), _views(config))
    if spec.trained:
        fit(stage, name, run, config.accelerator, precision=config.teachers.precision)
    return stage.teacher


def _lessons(config: Config, x: Tensor, teachers: dict[str, Teacher], known: dict[str, Knowledge]) -> Lessons:
    """Copies of windows, and what the teachers say of them, unless that is known already."""
    copies = copies_of(x, config.student, config.seed)
    for name, teacher in teachers.items():
        if name not in known:
            known[name] = knowledge_of(teacher.to(device_of(config.accelerator)), copies, _views(config))
            teacher.cpu()
    return Lessons(copies, [known[name] for name in teachers])


def _learnt(
    config: Config, data: Dataset, text: Text, codebook: ShapeCodebook, lessons: Lessons, unlabelled: Lessons | None,
    run: Path, name: str,
) -> Student:
    """A student, trained."""
    membership = (text.seen or text.targets).membership
    stage = StudentStage(config, data.train, len(data.labels), codebook, lessons, membership, unlabelled)
    fit(stage, name, run, config.accelerator, config.student.average)
    codebook.cpu()  # it went to the GPU with the student, if there is one
    return stage.finish()


def _views(config: Config) -> Path | None:
    return Path(config.teachers.cache) if config.teachers.cache else None


def _student(
    config: Config,
    data: Dataset,
    text: Text,
    codebook: ShapeCodebook,
    teachers: dict[str, Teacher],
    run: Path,
    clock: "_Clock",
    known: dict[str, Knowledge],
) -> Student:
    path = run / "student.safetensors"
    student = make_student(config, len(data.labels), len(text.entries))
    if restore(student, path):
        return student
    with clock.stage("teachers' answers"):
        lessons = _lessons(config, data.train.x, teachers, known)
        unlabelled = None if data.unlabelled is None else _lessons(config, data.unlabelled, teachers, {})
    with clock.stage("student"):
        learnt = _learnt(config, data, text, codebook, lessons, unlabelled, run, "student")
        learnt.centre(data.train.x)
        calibrate(learnt, data.train, data.calibrate)
    about = {
        "stage": "student",
        "labels": data.labels,
        "sub_actions": text.entries,
        "mmvq": __version__,
        "data": {key: data.meta.get(f"mmvq.{key}", "") for key in ("citation", "licence")} | {"name": data.name},
    }
    save_module(learnt, path, about)
    restore(student, path)
    return student


def _figures(config: Config, data: Dataset, learnt: Learnt, run: Path) -> dict[str, Any]:
    text, codebook, student = learnt.text, learnt.codebook, learnt.student
    membership: Tensor = text.targets.membership
    test = judge(student, data.test)
    train_judged = judge(student, data.train)
    told = None
    if codebook.text is not None:
        told = associations(student, train_judged, data.train, membership, config.seed)
    codes = describe_codes(student, codebook, train_judged, text.entries, told)
    write_json(run / "codes.json", {"schema": 1, "sub_actions": text.entries, "codes": [c.as_json() for c in codes]})
    write_calibration(run / "calibration.npz", data.train, data.calibrate, config.seed)
    judges: dict[str, Teacher] = {"student": SelfTeacher(student)} | learnt.teachers
    compared = compare(judges, data.test, len(data.labels), config.seed, _views(config))
    metrics = {
        "schema": 1,
        "data": data.name,
        "split": data.split,
        "fold": config.fold,
        "subjects": data.subjects,
        "seed": config.seed,
        "classes": list(data.labels),
        "test": compared["student"].accuracy,
        "teachers": {name: {"macro_f1": compared[name].accuracy["macro_f1"]} for name in learnt.teachers},
        "disturbed": {
            name: {kind: [list(point) for point in levels.items()] for kind, levels in one.disturbed.items()}
            for name, one in compared.items()
        },
        "ablations": ablation_rows(student, test, data.test, len(data.labels)),
        "explanation": explanation_figures(student, test, data.test, membership, config.seed),
        "codebook": codebook_figures(student, codebook, test, data.test, data.train)
        | {"named": sum(c.name is not None for c in codes), "information": [a.as_json() for a in told or ()]},
        "seconds": learnt.seconds,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
    }
    write_json(run / "metrics.json", metrics)
    write_report(run, metrics, codes, student, codebook, data.test, test, text.entries, compared)
    return metrics


class _Clock:
    """Seconds a stage, added up over interruptions: kept in log/seconds.json."""

    def __init__(self, run: Path) -> None:
        self.path = run / "log" / "seconds.json"
        self.seconds: dict[str, float] = json.loads(self.path.read_text()) if self.path.exists() else {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        say(f"{name} ...")
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 1)
            write_json(self.path, self.seconds)

