"""VQShape's dials: what the net is, and how it is pre-trained. The defaults are the published configuration.

Where the paper, its code and common practice do not say the same, the choice is a dial of its own (help: "form: ...");
the default is what the published weights were trained with. An option's name, type, bounds and help come from here
alone.
"""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

from mmvq_bridge.command import BadInput
from mmvq_train.config import Preset

VQ = Literal["published", "vq-vae"]
Length = Literal["published", "inside"]
Scale = Literal["signal", "normalised"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class Dial(NamedTuple):
    """An option's help, and its bounds where it is a number."""

    help: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class VQShapeConfig:
    """The net (SYSTEMS 1)."""

    samples: Annotated[int, Dial("samples that a series is interpolated to", 8, 8192)] = 512
    patch: Annotated[int, Dial("samples a patch", 1, 1024)] = 8
    tokens: Annotated[int, Dial("learned queries, each of which becomes one shape; divides samples", 2, 512)] = 64
    width: Annotated[int, Dial("model width d", 8, 2048)] = 256
    heads: Annotated[int, Dial("attention heads; divides width", 1, 64)] = 8
    encoder_layers: Annotated[int, Dial("self-attention layers over patches", 1, 48)] = 4
    tokenizer_layers: Annotated[int, Dial("layers in which the queries look at the patches", 1, 48)] = 4
    decoder_layers: Annotated[int, Dial("self-attention layers over shapes, to the whole series", 1, 48)] = 2
    dropout: Annotated[float, Dial("dropout of all of them", 0, 0.9)] = 0.1
    codes: Annotated[int, Dial("size of the codebook K", 2, 8192)] = 512
    code_dim: Annotated[int, Dial("numbers a code", 1, 256)] = 8
    points: Annotated[int, Dial("points that a shape is drawn with; a multiple of 16", 16, 1024)] = 128
    shortest: Annotated[float, Dial("shortest shape, as a share of the series", 1e-4, 0.5)] = 1 / 64
    smoothing: Annotated[int, Dial("points that a shape's target is averaged over, odd; 1 is none", 1, 63)] = 1
    length: Annotated[
        Length,
        Dial(
            "form: published, l = sig(b)(1 - t) + shortest, can end past the series by `shortest` (its crop ends with "
            "the series); inside, l = sig(b)(1 - t - shortest) + shortest, cannot"
        ),
    ] = "published"

    @property
    def patches(self) -> int:
        """Patches a series."""
        return self.samples // self.patch

    @property
    def token_size(self) -> int:
        """Numbers a token: z_q, t, l, μ, σ."""
        return self.code_dim + 4

    def check(self) -> None:
        """Raise BadInput, in one line, for what cannot be meant."""
        check_dials(self)
        rules = [
            (self.samples % self.patch == 0, "--patch must divide --samples"),
            (self.patches >= 2, "--patch leaves fewer than two patches of --samples"),
            (self.samples % self.tokens == 0, "--tokens must divide --samples, as each token rebuilds its share"),
            (self.width % self.heads == 0, "--heads must divide --width"),
            (self.points % 16 == 0, "--points must be a multiple of 16"),
            (self.smoothing % 2 == 1, "--smoothing must be odd"),
        ]
        for holds, message in rules:
            if not holds:
                raise BadInput(message)


@dataclass(frozen=True)
class Recipe:
    """Pre-training (SYSTEMS 1)."""

    batch: Annotated[int, Dial("series a step, over all devices together", 1, 1e6)] = 2048
    epochs: Annotated[int, Dial("times through the series", 1, 1e5)] = 2
    max_steps: Annotated[int | None, Dial("stop after so many steps", 1, 1e8)] = None
    learning_rate: Annotated[float, Dial("of AdamW, at its highest", 1e-8, 1)] = 1e-4
    final_rate: Annotated[float, Dial("where the cosine ends", 0, 1)] = 1e-5
    warm_up: Annotated[int, Dial("steps in which the rate rises; half the run, if that is no longer", 0, 1e8)] = 1000
    weight_decay: Annotated[float, Dial("of AdamW", 0, 1)] = 0.01
    clip: Annotated[float, Dial("largest norm of the gradient", 1e-6, 1e6)] = 1.0
    precision: Annotated[Precision, Dial("auto: bf16-mixed (as published) on a GPU, 32-true on a CPU")] = "auto"
    leg: Annotated[int, Dial("steps between checkpoints", 1, 1e6)] = 200
    mask: Annotated[float, Dial("share of patches left out, as in a masked autoencoder", 0, 0.95)] = 0.25
    weight_x: Annotated[float, Dial("λ_x of the whole series", 0, 1e6)] = 1.0
    weight_z: Annotated[float, Dial("λ_z of the quantisation", 0, 1e6)] = 1.0
    weight_s: Annotated[float, Dial("λ_s of the shapes", 0, 1e6)] = 1.0
    weight_div: Annotated[float, Dial("λ_div of the diversity of positions", 0, 1e6)] = 0.8
    commitment: Annotated[float, Dial("weight of the second term of L_vq", 0, 1e3)] = 0.25
    entropy: Annotated[float, Dial("weight of the entropy term", 0, 1e3)] = 0.1
    gamma: Annotated[float, Dial("γ: how much even use counts against certainty", 0, 1e3)] = 1.0
    temperature: Annotated[float, Dial("τ of p = softmax(-d/τ), d the squared distances", 1e-4, 1e3)] = 0.01
    margin: Annotated[float, Dial("distance from which two positions are different enough", 0, 10)] = 0.2
    vq: Annotated[
        VQ,
        Dial(
            "form: published, 1 pulls the encoder to its codes and `commitment` the codes to the encoder; vq-vae, the "
            "other way round"
        ),
    ] = "published"
    scale: Annotated[
        Scale,
        Dial(
            "form: signal, L_x and L_s in the signal's units as published, so large signals weigh more; normalised, "
            "in each series' own deviation"
        ),
    ] = "signal"
    crop_gradient: Annotated[
        bool,
        Dial("form: False, as published, L_s takes its target as given and says nothing to t and l; True, it does"),
    ] = False

    def check(self) -> None:
        """Raise BadInput, in one line, for what cannot be meant."""
        check_dials(self)
        if self.final_rate > self.learning_rate:
            raise BadInput("--final-rate must be at most --learning-rate")


# small: under two minutes on one core, for trying things out. On the embedded recordings the net gives each series'
# mean for the first 200 to 300 steps before it begins to follow the signal; without dropout and at a high rate it
# gets there.
PRESETS: Final[dict[Preset, tuple[VQShapeConfig, Recipe]]] = {
    "full": (VQShapeConfig(), Recipe()),
    "small": (
        VQShapeConfig(
            patch=16,
            tokens=32,
            width=64,
            heads=4,
            encoder_layers=2,
            tokenizer_layers=2,
            decoder_layers=1,
            dropout=0.0,
            codes=32,
            points=64,
        ),
        Recipe(batch=32, epochs=1000, max_steps=400, learning_rate=2e-3, final_rate=2e-4, warm_up=50, leg=100),
    ),
}


def dials(kind: type[VQShapeConfig] | type[Recipe]) -> dict[str, tuple[Any, Dial]]:
    """Name -> (type, dial) of every option of a configuration."""
    hints = get_type_hints(kind, include_extras=True)
    return {entry.name: get_args(hints[entry.name]) for entry in fields(kind)}


def check_dials(config: VQShapeConfig | Recipe) -> None:
    """Raise BadInput naming the option whose value is of the wrong type or out of bounds."""
    for name, (hint, dial) in dials(type(config)).items():
        value, option = getattr(config, name), f"--{name.replace('_', '-')}"
        if not _fits(value, hint):
            raise BadInput(f"{option} is {str(value)[:40]!r}, which it cannot be")
        if value is not None and dial.low is not None and dial.high is not None and not dial.low <= value <= dial.high:
            raise BadInput(f"{option} {value:g} lies outside {dial.low:g} to {dial.high:g}")


def config_from(values: Any) -> VQShapeConfig:
    """The configuration that a model file carries. Raises BadInput for what is none, as the file may be anybody's."""
    if not isinstance(values, dict) or set(values) != set(dials(VQShapeConfig)):
        raise BadInput("its configuration has other keys than this version's")
    config = VQShapeConfig(**values)
    config.check()
    return config


def differing(old: dict[str, Any], new: VQShapeConfig | Recipe) -> str | None:
    """The first option that `new` has otherwise than a stored one."""
    return next((name for name, value in asdict(new).items() if old.get(name) != value), None)


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if parts := get_args(hint):
        return any(_fits(value, part) for part in parts)
    return type(value) in (int, float) if hint is float else type(value) is hint
