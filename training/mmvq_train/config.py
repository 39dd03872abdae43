"""One frozen dataclass per stage: the command line is made from them, and `config_file` writes and reads them."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mmvq_bridge.command import BadInput
from mmvq_train.pieces import POINTS, Layout, PieceView
from mmvq_train.text.bank import TextKind

Accelerator = Literal["auto", "cpu", "gpu"]
Precision = Literal["32-true", "bf16-mixed"]
Preset = Literal["small", "full"]
Method = Literal["code", "token", "both"]
Target = Literal["candidate", "balanced", "attention"]
Control = Literal["real", "shuffled", "random", "one-hot", "none"]
TeacherKind = Literal["signal", "persistence", "gramian", "codebook", "self"]
Axis = Literal["x", "y", "z"]
DistilMethod = Literal["workspace", "kd", "ebkd", "camkd", "mtkd-rl", "dist", "at", "sp", "dcd", "simkd"]


@dataclass(frozen=True)
class PiecesConfig:
    """The pieces that a window is cut into; each becomes a token."""

    lengths_s: tuple[float, ...] = (0.5, 2.0, 10.0)
    """Piece lengths in seconds; one longer than the window becomes the window."""
    hops_s: tuple[float, ...] = (0.5, 1.0, 1.0)
    """Seconds between pieces of each length."""
    magnitude: bool = False
    """Take |a| as a fourth axis."""
    views: tuple[PieceView, ...] = ("axes", "gravity", "rhythm")
    """What of a piece is coded, each by tokens of its own, which learn apart and add up: axes (the curves of x, y, z),
    gravity (along the piece's mean, across it, and the magnitude), rhythm (the spectra of x, y, z). axes alone is
    twice as fast at the edge, and less accurate."""


@dataclass(frozen=True)
class CodebookConfig:
    """Stage 1: shape codes, learnt with text as target, then frozen. First the shapes alone, then all losses with a
    floor under the shapes, then what reads the codes, while they stand still."""

    size: int = 32
    """Codes a length."""
    dim: int = 16
    """Size of a code."""
    joint: bool = False
    """One code for all axes of a piece, instead of one an axis."""
    epochs: int = 16
    batch: int = 128
    learning_rate: float = 2e-3
    text: Control = "real"
    """Guide codes by the text bank (sub-actions, alignment, label embedding). Controls: the texts of other activities,
    random vectors, one-hot ones; none leaves text out."""
    texts: tuple[TextKind, ...] = ("sentence",)
    """What says what an activity is, beside its sub-actions: keywords, sentence, affirmative, negative."""
    actions: int | None = None
    """Entries of the action codebook; by default from the number of activities."""
    method: Method = "code"
    """What tells the sub-action: the quantised code (Method 2), the token before that (Method 1), or both."""
    target: Target = "candidate"
    """The sub-action target: any of the label's set, spread over it; the set evened out by Sinkhorn; or where tokens
    look in the fusion, as KL (plain MMVQShape)."""
    fusion: bool = False
    """LSA's two cross-attentions of signal and text, in training only; the target `attention` needs them."""
    alone: float = 0.4
    """Share of the epochs, at first, in which shapes are learnt alone."""
    settled: float = 0.3
    """Share of the epochs, at last, in which the codes stand still and only what reads them learns."""
    floor: float = 1.05
    """After that the shapes' error may grow to this times what it was alone; inf: no floor."""
    bend: float = 0.5
    """How far text and labels may bend z, per dimension (its deviation is about 1)."""
    shape: float = 1.0
    """Share of the update for the pieces' shapes."""
    whole: float = 0.3
    """Share for the whole window."""
    action: float = 0.2
    """Share for the sub-action target."""
    align: float = 0.1
    """Share for the contrastive alignment of signal and label text."""
    fused: float = 0.1
    """Share for the labels that the fusion's two branches tell."""
    label: float = 0.1
    """Share for the class."""
    commitment: float = 0.25
    """Weight of the commitment to the codes."""


TEACHER: Final = re.compile(r"(random-)?(signal|persistence|gramian)(?::(\d{1,3})-(\d{1,2}))?|(codebook|self)")


@dataclass(frozen=True)
class TeacherSpec:
    """One teacher: what files and tables call it, its view, its net's size, whether it is trained; `number` counts
    those that are alike but for their seed."""

    name: str
    kind: TeacherKind
    depth: int
    width: int
    trained: bool
    number: int


@dataclass(frozen=True)
class TeachersConfig:
    """Stage 2: nets whose judgement the student follows; they stay at home."""

    use: tuple[str, ...] = ("signal", "persistence")
    """Which, as many as wanted: signal (a 1-D wide residual net on it), persistence and gramian (2-D ones on
    persistence images and on Gramian angular fields), codebook (stage 1 as it stands), self (a student that learnt from
    labels alone). signal:28-3 is one of depth 28 and width 3; random-signal is left untrained, a control; one named
    twice is trained from two seeds. none: no teacher."""
    depth: int = 16
    """Of teachers that do not say."""
    width: int = 1
    epochs: int = 8
    batch: int = 64
    learning_rate: float = 5e-3
    precision: Precision = "32-true"
    """bf16-mixed halves the time where processor or GPU multiply bfloat16."""
    image: int = 32
    """Images are this many pixels wide and high."""
    cache: str | None = "runs/views"
    """Folder that keeps what teachers see, where it takes long to draw, for other runs; it may be deleted any time."""

    @property
    def wanted(self) -> tuple[TeacherSpec, ...]:
        """`use`, read. Raises BadInput for what is no teacher."""
        if self.use == ("none",):
            return ()
        found: list[TeacherSpec] = []
        for word in self.use:
            read = TEACHER.fullmatch(word)
            if not read:
                raise BadInput(
                    f"--teachers.use {word}: give signal, persistence or gramian, bare or with depth and width as in "
                    "signal:28-3, after random- to leave it untrained; or codebook, or self; or none alone"
                )
            kind: Any = read[2] or read[5]
            depth, width, trained = int(read[3] or self.depth), int(read[4] or self.width), read[1] is None
            number = sum((f.kind, f.depth, f.width, f.trained) == (kind, depth, width, trained) for f in found)
            name = word.replace(":", "-") + (f"-{number + 1}" if self.use.count(word) > 1 and number else "")
            found.append(TeacherSpec(name, kind, depth, width, trained, number))
        return tuple(found)


@dataclass(frozen=True)
class WorkspaceConfig:
    """The global latent workspace between teachers and student, in training; its slots alone may stay."""

    slots: int = 5
    dim: int = 32
    rounds: int = 3
    heads: int = 4
    align: float = 1.0
    """Weight of the agreement between the student's map and the teachers'."""
    similarity: float = 1.0
    """Weight of the similarity-preserving loss."""
    frozen: bool = False
    """Freeze the slots into the student as constants, for its tokens to read at the edge too; else it does without."""
    orientation: Literal["far", "near", "equal"] = "far"
    """Which teacher weighs more: the one whose map is farther from the student's, the nearer, or none (a control)."""


@dataclass(frozen=True)
class StudentConfig:
    """Stage 3: what runs at the edge."""

    width: int = 48
    """Hidden units of the network of each length and view."""
    embedding: int = 32
    """Size of a code's embedding, one a code, axis and length."""
    epochs: int = 24
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    piece_dropout: float = 0.3
    """Share of pieces left out of a window while training."""
    smoothing: float = 0.05
    """Label smoothing."""
    copies: int = 4
    """Copies of the training windows: one as recorded, the others turned, scaled and flattened in places. Teachers
    judge each of them."""
    mixed: int = 8
    """More copies, each turned further and mixed with another window, labels too; every step learns from as many of
    these as of the others, and takes twice as long. 0 for none."""
    forearm: Axis | None = None
    """Axis of the device along the forearm, x for most watches: copies are turned about it as if the watch slid round
    the arm, and half of the windows in mixed copies mirrored along it as if it were on the other arm."""
    method: DistilMethod = "workspace"
    """How to learn from teachers: their answers, weighed by the workspace (mGLW), equally (kd), by entropy (ebkd), by
    rightness and with features (camkd), by an agent (mtkd-rl); correlation of answers (dist); features alone (at, sp,
    dcd); the first teacher's classifier on its features (simkd)."""
    temperature: float = 4.0
    """Of the teachers' answers."""
    distil: float = 0.5
    """λ: share of the teachers' judgement against the labels'."""
    hint: float = 1.0
    """Weight of losses on features, in methods that have any, as a multiple of the published one."""
    anneal: float = 0.0
    """Share of the epochs, at first, in which labels alone are learnt."""
    follow: int = 400
    """Steps in which the student's map learns the codebook's choice of codes (L_KD on z)."""
    action: float = 0.3
    """Weight of the sub-action targets."""
    rotation_deg: float = 10.0
    """Augmentation: standard deviation of a random turn of the watch."""
    gain: float = 0.05
    """Augmentation: standard deviation of a random scale."""
    noise_g: float = 0.1
    """Augmentation: up to this standard deviation of Gaussian noise, in g, on half of the windows of mixed copies, for
    devices that are noisier than those that recorded; 0 for none."""
    average: float = 0.3
    """Share of the last epochs whose weights are averaged."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run."""

    data: str | None = None
    """Recording file (Parquet or CSV); the embedded WISDM recordings by default."""
    unlabelled: str | None = None
    """Recording file whose labels, if it has any, are not looked at: what teachers say of its windows is all that the
    student learns from them. Recordings of those who are to wear the device, for example."""
    bank: str | None = None
    """Text bank, or `auto` for one made from the labels' names; a shipped one by default if it has all labels."""
    out: str | None = None
    """Run directory; runs/<time> by default."""
    preset: Preset = "small"
    split: str | None = None
    """JSON file with subject folds; by default subjects are dealt into five folds."""
    fold: int = 0
    """The fold that tests; its people are never trained on."""
    rate_hz: float = 20.0
    window_s: float = 10.0
    hop_s: float | None = None
    """Seconds between windows to test on, and between those that the live runtime judges; half a window by default."""
    train_hop_s: float | None = None
    """Seconds between windows to train and calibrate on, as overlap is a cheap augmentation; half a hop by default."""
    seed: int = 0
    accelerator: Accelerator = "auto"
    pieces: PiecesConfig = field(default_factory=PiecesConfig)
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    teachers: TeachersConfig = field(default_factory=TeachersConfig)
    workspace: WorkspaceConfig = field(default_factory=WorkspaceConfig)
    student: StudentConfig = field(default_factory=StudentConfig)

    @property
    def window(self) -> int:
        """Samples in a window."""
        return round(self.window_s * self.rate_hz)

    @property
    def hop(self) -> float:
        """`hop_s`, or its default, in seconds."""
        return self.window_s / 2 if self.hop_s is None else self.hop_s

    @property
    def train_hop(self) -> float:
        """`train_hop_s`, or its default, in seconds."""
        return self.hop / 2 if self.train_hop_s is None else self.train_hop_s

    @property
    def layout(self) -> Layout:
        """The pieces; lengths beyond the window shrink to it, and doubled ones go."""
        pairs = {min(n, self.window_s): h for n, h in zip(self.pieces.lengths_s, self.pieces.hops_s, strict=True)}
        axes, views = 4 if self.pieces.magnitude else 3, self.pieces.views
        return Layout(
            self.rate_hz, self.window, tuple(pairs) * len(views), tuple(pairs.values()) * len(views), axes,
            self.codebook.joint, views=tuple(view for view in views for _ in pairs),
        )

    def check(self) -> None:
        """Raise BadInput, in one line, for what cannot be meant."""
        samples = self.window_s * self.rate_hz
        spans = (*self.pieces.lengths_s, *self.pieces.hops_s)
        rules = [
            (1 <= self.rate_hz <= 1000, f"--rate-hz {self.rate_hz:g} lies outside 1 to 1000"),
            (samples >= 8, f"--window-s {self.window_s:g} holds fewer than 8 samples"),
            (samples <= MOST_SAMPLES, f"--window-s {self.window_s:g} holds more than {MOST_SAMPLES} samples"),
            (0 < self.hop <= self.window_s, f"--hop-s {self.hop:g} must be over 0 and at most --window-s"),
            (
                0 < self.train_hop <= self.window_s,
                f"--train-hop-s {self.train_hop:g} must be over 0 and at most --window-s",
            ),
            (
                len(self.pieces.lengths_s) == len(self.pieces.hops_s) > 0,
                "--pieces.lengths-s and --pieces.hops-s differ in number, or are empty",
            ),
            (all(0 < span < math.inf for span in spans), "--pieces lengths and hops must be over 0"),
            (
                "rhythm" not in self.pieces.views or min(self.pieces.lengths_s, default=0) * self.rate_hz >= 4,
                "--pieces.views rhythm needs pieces of at least 4 samples",
            ),
            (len(set(self.pieces.views)) == len(self.pieces.views) > 0, "--pieces.views are empty, or one comes twice"),
            (
                self.pieces.views == ("axes",) or not (self.pieces.magnitude or self.codebook.joint),
                "--pieces.magnitude and --codebook.joint go with --pieces.views axes alone",
            ),
            (
                len(self.pieces.views) == 1 or not self.workspace.frozen,
                "--workspace.frozen keeps one workspace's slots: it goes with one of --pieces.views",
            ),
            *(
                (t.depth >= 10 and t.depth % 6 == 4, f"teacher {t.name} of depth {t.depth}: give 10, 16, 22, 28 or "
                 "another 6n + 4")
                for t in self.teachers.wanted
            ),
            (len(self.teachers.use) > 0, "--teachers.use is empty; --teachers.use none leaves teachers out"),
            (all(1 <= t.width <= 64 for t in self.teachers.wanted), "widths of teachers lie outside 1 to 64"),
            (
                self.teachers.use.count("codebook") <= 1,
                "--teachers.use names codebook twice; there is one, and it has nothing that a seed would change",
            ),
            (
                self.workspace.dim % max(1, self.workspace.heads) == 0,
                "--workspace.dim must be a multiple of --workspace.heads",
            ),
            (
                not self.workspace.frozen or (self.student.method == "workspace" and bool(self.teachers.wanted)),
                "--workspace.frozen keeps slots that teachers fill: it needs --student.method workspace, and teachers",
            ),
            (
                self.unlabelled is None or (self.student.method != "simkd" and bool(self.teachers.wanted)),
                "--unlabelled is judged by teachers, whose answers count: it needs some, and another method than simkd",
            ),
            (
                self.student.forearm is None or self.student.mixed > 0,
                "--student.forearm mirrors windows in mixed copies; give --student.mixed 8, say, as well",
            ),
            (
                not (self.codebook.joint and self.pieces.magnitude),
                "--codebook.joint draws the three axes together; leave --pieces.magnitude out",
            ),
            (
                self.codebook.target != "attention" or self.codebook.fusion,
                "--codebook.target attention is where tokens look in the fusion; add --codebook.fusion True",
            ),
            (len(self.codebook.texts) > 0, "--codebook.texts is empty; --codebook.text none leaves text out"),
            (
                self.codebook.alone + self.codebook.settled <= 1,
                "--codebook.alone and --codebook.settled are shares of the same epochs; together at most 1",
            ),
            (self.codebook.floor >= 1, f"--codebook.floor {self.codebook.floor:g} must be at least 1"),
        ]
        for name, low, high in BOUNDS:
            value: Any = self
            for part in name.split("."):
                value = getattr(value, part)
            option = name.replace("_", "-")
            rules.append((low <= value <= high, f"--{option} {value:g} lies outside {low:g} to {high:g}"))
        for holds, message in rules:
            if not holds:
                raise BadInput(message)


MOST_SAMPLES: Final = 100_000  # of a window: what the runtime takes
ALMOST_ONE: Final = 0.99  # dropping everything leaves nothing to learn from
BOUNDS: Final = (
    ("fold", 0, 1e6),
    ("seed", 0, 2**32 - 1),  # what numpy takes
    ("codebook.size", 2, 1024),
    ("codebook.dim", 1, POINTS),  # the projection of a shape of at least so many points keeps lengths
    *((f"{stage}.{name}", low, high)
      for stage in ("codebook", "teachers", "student")
      for name, low, high in (("epochs", 1, 1e5), ("batch", 1, 1e6), ("learning_rate", 1e-8, 10))),
    ("codebook.alone", 0, 1),
    ("codebook.settled", 0, 0.9),  # codes must have started
    ("codebook.bend", 0, 10),
    ("teachers.image", 2, 1024),
    *((f"workspace.{name}", 1, 4096) for name in ("slots", "dim", "rounds", "heads")),
    ("student.width", 1, 4096),
    ("student.embedding", 1, 4096),
    *((f"student.{name}", 0, ALMOST_ONE) for name in ("dropout", "piece_dropout", "smoothing")),
    ("student.copies", 1, 100),
    ("student.mixed", 0, 100),
    ("student.temperature", 0.01, 1000),
    ("student.hint", 0, 1e6),
    ("student.anneal", 0, ALMOST_ONE),
    ("student.follow", 0, 1e6),
    ("student.distil", 0, 1),
    ("student.noise_g", 0, 10),
    ("student.average", 0, 1),
)

# `full` is meant for a GPU: wider teachers, longer training.
PRESETS: dict[Preset, Config] = {
    "small": Config(),
    "full": Config(
        preset="full",
        codebook=CodebookConfig(epochs=20),
        teachers=TeachersConfig(width=2, epochs=30, image=64),
        student=StudentConfig(epochs=60, mixed=16),
    ),
}
