"""The pages that people look at: jinja2 templates on one base, self-contained, nothing fetched, no script."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmvq_bridge.files import atomic
from mmvq_train import __version__
from mmvq_train.drawings import number, percent


def write_page(path: Path | str, template: str, **values: Any) -> None:
    """Render a template of this folder and write it, whole or not at all. Values are escaped unless Markup."""
    environment = Environment(
        loader=PackageLoader("mmvq_train", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "duration": duration}
    page = environment.get_template(template).render(version=__version__, **values)
    with atomic(path) as part:
        part.write_text(page, encoding="utf-8")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
