"""A run's config.yaml: the whole configuration, written and read again."""

from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from mmvq_bridge.command import BadInput
from mmvq_train.config import Config


def to_yaml(config: Config) -> str:
    """The whole configuration, replayable by `from_yaml`."""
    return yaml.safe_dump(_plain(asdict(config)), sort_keys=False)


def from_yaml(path: Path) -> Config:
    """Read a run's config.yaml. Raises BadInput naming the file and the key."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: cannot be read as a run's configuration ({str(error).splitlines()[0]})") from None
    return _build(Config, raw, str(path))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _build(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise BadInput(f"{where}: expected keys and values, found {type(raw).__name__}")
    hints = get_type_hints(kind)
    unknown = sorted(set(raw) - {f.name for f in fields(kind)})
    if unknown:
        raise BadInput(f"{where}: unknown key {unknown[0]}; it may come from another version of mmvq")
    values = {}
    for name, value in raw.items():
        if is_dataclass(hints[name]):
            values[name] = _build(hints[name], value, f"{where}: {name}")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
            if not _fits(values[name], hints[name]):
                raise BadInput(f"{where}: {name} is {str(value)[:40]!r}, which it cannot be")
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of the type that a field has."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return value in parts
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, parts[0]) for item in value)
    if parts:
        return any(_fits(value, part) for part in parts)
    return type(value) in (int, float) if hint is float else type(value) is hint
