"""A model file, checked, and its predictions. The only place that knows ONNX Runtime.

The file is read here and handed over as bytes, so that no reference out of it can be followed; its checksum is
verified first, and a still window is run through it before the first real one, so that shapes are facts.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import BadInput, Failed
from mmvq_run.metadata import Metadata, parse_metadata
from mmvq_run.onnx_file import CHECKSUM, DIGITS, checksum, kinds, read_properties
from mmvq_run.signature import verify

LARGEST_FILE: Final = 64 << 20  # bytes; an edge model has 0.3 MB, the widest teacher would have 20
LARGEST_BATCH: Final = 256  # windows in a call: more gain nothing, and their activations would take memory
MOST_TOKENS: Final = 10_000
INPUT: Final = "accel"
ENDLESS: Final = {"If", "Loop", "Scan", "SequenceMap"}  # nodes with graphs of their own, which no size bounds
PACKAGED: Final = Path(__file__).parent / "packaged" / "student.onnx"
LATEST: Final = Path("runs/latest/student.onnx")
VARIABLE: Final = "MMVQ_MODEL"
FATAL: Final = 4  # ONNX Runtime's log level: its errors come as exceptions, and stderr is ours

Floats = npt.NDArray[np.float32]
Properties = dict[str, tuple[bytes, int]]  # as onnx_file has them


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one window; C classes, T tokens, A axes, M sub-actions (DESIGN 3.5). A token has S codes:
    one an axis, or one for all axes, which then still have attributes of their own."""

    probabilities: Floats  # (C,)
    unknown_score: float
    codes: npt.NDArray[np.int64]  # (T, S), indices into the metadata's codes
    margins: Floats  # (T, S)
    attributes: Floats  # (T, A, 4): t and length in seconds, offset and scale in g
    contributions: Floats  # (T, C)
    sub_actions: Floats  # (T, M)


class Predictor(Protocol):
    """What a stream needs of a model."""

    @property
    def metadata(self) -> Metadata:
        """What the model says of itself."""
        ...

    def predict(self, xyz: Floats) -> Prediction:
        """One window's prediction; xyz: g, float32 (window, 3)."""
        ...


def find_model(chosen: str | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the model is: chosen, else $MMVQ_MODEL, else the latest run's, else the packaged one."""
    if chosen is not None:
        return Path(chosen)
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE])
    for path in (LATEST, PACKAGED):
        if path.exists():
            return path
    raise BadInput(f"no model: {LATEST} is not there; give --model FILE or {VARIABLE}, or train and export one")


class Model:
    """A model file that was checked, ready to predict."""

    def __init__(self, path: Path | str, key: str | None = None) -> None:
        """Load it. BadInput if it is no model file, is damaged, or does not do what it says; or if it is not signed
        with the private half of `key`, a PEM file, where that is given."""
        self.path = str(path)
        data, properties = read_verified(path, key)
        self.metadata = _metadata(properties, self.path)
        self._session = _session(data, self.path)
        try:
            _check_input(self._session, self.metadata, self.path)
            self._outputs = [output.name for output in self._session.get_outputs()]
        except UnicodeDecodeError:
            raise BadInput(f"{self.path}: names in its graph are no text; export it again") from None
        self._any_batch = not isinstance(self._session.get_inputs()[0].shape[0], int)
        still = np.zeros((self.metadata.window, 3), np.float32)
        still[:, 2] = 1
        try:
            self.predict(still)
        except Failed as error:
            raise BadInput(f"{error}; export it again") from None

    def predict(self, xyz: Floats) -> Prediction:
        """xyz: g, float32 (window, 3), finite. Failed if the model's answer is not what its metadata promise.

        ValueError for a window that is not finite: a model would call it code 0.
        """
        return self._ask([xyz])[0]

    def predict_many(self, windows: Sequence[Floats]) -> list[Prediction]:
        """The same for several, in as few calls as the model's batch allows."""
        most = LARGEST_BATCH if self._any_batch else 1
        return [one for at in range(0, len(windows), most) for one in self._ask(windows[at : at + most])]

    def _ask(self, windows: Sequence[Floats]) -> list[Prediction]:
        for xyz in windows:
            if xyz.shape != (self.metadata.window, 3) or not np.isfinite(xyz).all():
                raise ValueError(f"a window is finite and ({self.metadata.window}, 3), not {xyz.shape}")
        try:
            values = self._session.run(self._outputs, {INPUT: np.stack(windows).astype(np.float32, copy=False)})
        except _runtime_errors() as error:
            raise Failed(f"{self.path}: the model fails on a window ({_first_line(error)})") from None
        return _predictions(dict(zip(self._outputs, values, strict=True)), len(windows), self.metadata, self.path)


def read_verified(path: Path | str, key: str | None = None) -> tuple[bytes, Properties]:
    """A model file's bytes and properties, once its checksum fits, and its signature if there is a `key` to verify it
    with. BadInput else."""
    path = str(path)
    data = _read(path)
    try:
        properties, found = read_properties(data), kinds(data)
    except ValueError as error:
        raise BadInput(f"{path}: no whole ONNX file ({error}); export or copy it again") from None
    if not data:
        raise BadInput(f"{path}: empty; export or copy it again")
    for name in ("mmvq", CHECKSUM):
        if name not in properties:
            raise BadInput(f"{path}: an ONNX file without the property {name}; make it with mmvq-export")
    text, at = properties[CHECKSUM]
    if len(text) != DIGITS or text.decode("ascii", "replace").lower() != checksum(data, at):
        raise BadInput(f"{path}: the checksum does not fit: the file was changed or damaged; export or copy it again")
    if key is not None:
        verify(data, properties, key, path)
    if endless := ", ".join(sorted(ENDLESS & found)):
        raise BadInput(f"{path}: its graph has {endless}, which may run for ever; export it again")
    return data, properties


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give the path of a model with --model") from None
    if len(data) > LARGEST_FILE:
        raise BadInput(f"{path}: larger than {LARGEST_FILE >> 20} MB; a model for the edge is smaller, check --model")
    return data


def _metadata(properties: Properties, path: str) -> Metadata:
    try:
        return parse_metadata(properties["mmvq"][0])
    except ValueError as error:
        raise BadInput(f"{path}: its metadata cannot be used: {error}; export it again") from None


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise BadInput("no onnxruntime here; pip install 'mmvq[cpu]', or 'mmvq[gpu]' with an NVIDIA GPU") from None
    return onnxruntime


def _runtime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions have no common base of their own, and their words may be no text."""
    state = _onnxruntime().capi.onnxruntime_pybind11_state
    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return (UnicodeDecodeError, state.RuntimeException, *(getattr(state, name) for name in names))


def _session(data: bytes, path: str) -> Any:
    ort = _onnxruntime()
    options = ort.SessionOptions()
    # One thread that sleeps between windows: the default spins away a fifth of a core (EDGE 2).
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = FATAL
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise BadInput(f"{path}: ONNX Runtime cannot load it ({_first_line(error)}); export it again") from None


def _check_input(session: Any, metadata: Metadata, path: str) -> None:
    inputs = session.get_inputs()
    names = [entry.name for entry in inputs]
    if names != [INPUT] or inputs[0].type != "tensor(float)":
        raise BadInput(f"{path}: its inputs are {', '.join(names)}, not {INPUT} (float); export it again")
    batch, *shape = inputs[0].shape
    if isinstance(batch, int) and batch != 1:
        raise BadInput(f"{path}: exported for {batch} windows at once; export it with --batch 1 or dynamic")
    if shape != [metadata.window, 3]:
        raise BadInput(f"{path}: its input is {inputs[0].shape}, its metadata say (1, {metadata.window}, 3)")
    for output in session.get_outputs():
        sizes = [size for size in output.shape if isinstance(size, int)]
        if max(sizes, default=0) > MOST_TOKENS:
            raise BadInput(f"{path}: its output {output.name} is {output.shape}, which no model needs; export it again")


def _predictions(values: Mapping[str, Any], n: int, metadata: Metadata, path: str) -> list[Prediction]:
    classes, actions, codes = len(metadata.labels), len(metadata.sub_actions), len(metadata.code_names)
    tokens, streams, axes = _tokens(values, path)
    shapes: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "probabilities": (np.float32, (n, classes)),
        "unknown_score": (np.float32, (n,)),
        "codes": (np.int64, (n, tokens, streams)),
        "margins": (np.float32, (n, tokens, streams)),
        "attributes": (np.float32, (n, tokens, axes, 4)),
        "contributions": (np.float32, (n, tokens, classes)),
        "sub_actions": (np.float32, (n, tokens, actions)),
    }
    for name, (dtype, shape) in shapes.items():
        value = values.get(name)
        if not isinstance(value, np.ndarray):
            raise Failed(f"{path}: the model has no output {name}")
        if value.dtype != dtype or value.shape != shape:
            raise Failed(
                f"{path}: its output {name} is {value.dtype} {value.shape}, its metadata ask for "
                f"{np.dtype(dtype)} {shape}"
            )
        if not np.isfinite(value).all():
            raise Failed(f"{path}: its output {name} is not finite")
    if tokens and not 0 <= values["codes"].min() <= values["codes"].max() < codes:
        raise Failed(f"{path}: its output codes leaves the metadata's {codes} codes")
    names = [name for name in shapes if name != "unknown_score"]
    return [
        Prediction(unknown_score=float(values["unknown_score"][i]), **{name: values[name][i] for name in names})
        for i in range(n)
    ]


def _tokens(values: Mapping[str, Any], path: str) -> tuple[int, int, int]:
    """Tokens, codes a token, and axes of its attributes: as many as codes, or three where one code draws all axes."""
    shape: tuple[int, ...] = getattr(values.get("codes"), "shape", ())
    if len(shape) != 3 or shape[1] > MOST_TOKENS or shape[2] not in (1, 3, 4):
        raise Failed(f"{path}: its output codes is {shape or 'missing'}, not (1, tokens, 1, 3 or 4)")
    told: tuple[int, ...] = getattr(values.get("attributes"), "shape", ())
    return shape[1], shape[2], 3 if shape[2] == 1 and len(told) == 4 and told[2] == 3 else shape[2]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
