"""A run's page for tests: a student and a codebook of random weights on real windows, and the page taken apart."""

from html.parser import HTMLParser

import pytest
import torch

from mmvq_train.codebook import ShapeCodebook, TextTargets
from mmvq_train.compare import compare
from mmvq_train.config import CodebookConfig, Config, PiecesConfig, StudentConfig, TeacherSpec
from mmvq_train.data import WindowSet, load_dataset
from mmvq_train.evaluate import ablation_rows, accuracy, codebook_figures, explanation_figures, judge
from mmvq_train.names import associations, describe_codes
from mmvq_train.report import write_report
from mmvq_train.student.model import make_student
from mmvq_train.student.teacher import SelfTeacher
from mmvq_train.teachers import make_teacher

VOID = {"meta", "link", "br", "hr", "img", "input"}
RUDE = "<b>x & \"y\" 'z'"
SIZE = 6
CONFIG = Config(
    pieces=PiecesConfig((1.0, 4.0), (2.0, 3.0), views=("axes",)),
    codebook=CodebookConfig(size=SIZE, dim=8),
    student=StudentConfig(width=16, embedding=4),
)


class Page(HTMLParser):
    """Takes a page apart and fails on tags that do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.references, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.references += [v for k, v in attrs if k in ("href", "src", "action", "data", "xlink:href")]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def make_codebook(config, classes, targets):
    """Random codes and weights, frozen as the pipeline freezes them."""
    codebook = ShapeCodebook(config.layout, config.codebook.size, config.codebook.dim, classes, targets)
    for book in codebook.books():
        book.codes.copy_(torch.randn_like(book.codes))
    return codebook.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def trained():
    """A student and a codebook of random weights, judged on real windows of the embedded recordings."""
    torch.manual_seed(0)
    data = load_dataset(CONFIG)
    labels = (RUDE, *data.labels[1:])
    rows = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(1))[:60]
    test = WindowSet(data.test.x[rows], data.test.y[rows], data.test.subject[rows.numpy()])
    train = WindowSet(data.train.x[::10], data.train.y[::10], data.train.subject[::10])
    entries = (*(f"action {i}" for i in range(9)), "<script>alert(1)</script>")
    membership = torch.rand(len(labels), len(entries)) < 0.4
    membership[:, 0] = True
    targets = TextTargets(torch.randn(len(entries), 12), membership, torch.randn(len(labels), 1, 12))
    codebook = make_codebook(CONFIG, len(labels), targets)
    for book in codebook.books():
        book.codes[-1] *= 1e3  # so far away that no piece gets it
    student = make_student(CONFIG, len(labels), len(entries)).eval()
    student.adopt(codebook)
    judged = judge(student, test)
    seen = judge(student, train)
    told = associations(student, seen, train, membership, 0) if codebook.text is not None else None
    codes = describe_codes(student, codebook, seen, entries, told)
    teacher = make_teacher(TeacherSpec("signal", "signal", 10, 1, True, 0), len(labels), 16, 0)
    teacher.view.prepare(train.x)
    metrics = {
        "schema": 1, "data": "wisdm", "split": "subject", "fold": 0, "subjects": 12, "seed": 0, "classes": list(labels),
        "test": accuracy(judged.logits.argmax(-1), test, len(labels)),
        "teachers": {"signal": {"macro_f1": 0.5}},
        "ablations": ablation_rows(student, judged, test, len(labels)),
        "explanation": explanation_figures(student, judged, test, membership, 0),
        "codebook": codebook_figures(student, codebook, judged, test, train) | {"named": 0},
        "seconds": {"codebook": 3.2, "student": 4000.0}, "hardware": "test bench",
    }
    return {
        "metrics": metrics, "codes": codes, "student": student, "codebook": codebook, "test": test, "judged": judged,
        "entries": entries,
        "compared": compare({"student": SelfTeacher(student), "signal": teacher}, test, len(labels), 0),
    }


def write(run, trained, **changes):
    write_report(run, **(trained | changes))
    text = (run / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def section(text, name):
    """The part of the page under one of its headings."""
    return text.split(f'<h2 id="{name}">')[1].split("<h2 ")[0]


def number_in(text):
    return float(text.replace("−", "-").lstrip("+"))
