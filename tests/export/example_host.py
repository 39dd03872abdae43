"""The programs of examples/, made ready to run outside the repository, or a word on what is missing for that."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnxruntime
import pytest

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
# Kept between runs: the package has 290 MB, and .ci/run puts ONNX Runtime's header here.
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmvq-examples"
HEADER: Final = "onnxruntime_c_api.h"
LONGEST_S: Final = 120.0


@dataclass(frozen=True)
class Host:
    """An example program that can be run."""

    name: str
    command: tuple[str, ...]

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return _run(*self.command, *map(str, words))

    def refusal(self, *words: object, status: int = 2) -> str:
        """Run it on what it must refuse: that exit status and the one line on stderr, which is returned."""
        ended = self.run(*words)
        assert ended.returncode == status, (self.name, words, ended.stderr)
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr


def javascript(folder: Path) -> Host:
    """examples/node in `folder`, with its dependency from npm; skips where node, npm or the registry is missing."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the JavaScript example was not run: no {' and no '.join(missing)} here")
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(_node_modules(folder), target_is_directory=True)
    return Host("node", ("node", str(folder / "classify.mjs")))


def c(folder: Path) -> Host:
    """examples/c, compiled in `folder`; skips where compiler, make, header or library is missing."""
    missing = [tool for tool in ("make", "cc") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the C example was not run: no {' and no '.join(missing)} here")
    include, library = _header(), _library(folder.parent)
    shutil.copytree(EXAMPLES / "c", folder, ignore=shutil.ignore_patterns("classify"))
    built = _run("make", "-C", str(folder), f"ORT_INCLUDE={include}", f"ORT_LIB={library}")
    assert built.returncode == 0, built.stderr
    return Host("c", (str(folder / "classify"),))


def _node_modules(folder: Path) -> Path:
    """What `npm install` makes of the example's package.json, once for each package.json."""
    manifest = (folder / "package.json").read_text()
    kept = CACHE / "node"
    if (kept / "node_modules").is_dir() and (kept / "package.json").read_text() == manifest:
        return kept / "node_modules"
    fresh = CACHE / f"node.{os.getpid()}"
    fresh.mkdir(parents=True)
    (fresh / "package.json").write_text(manifest)
    try:
        installed = _run(
            *("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"), cwd=fresh
        )
        if installed.returncode != 0:
            # A version that the registry does not have is our mistake, and no registry is not.
            assert "ETARGET" not in installed.stderr and "E404" not in installed.stderr, installed.stderr
            pytest.skip(f"the JavaScript example was not run: npm install: {' '.join(installed.stderr.split())[:200]}")
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the JavaScript example was not run: npm install took over {LONGEST_S:g} s")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return kept / "node_modules"


def _header() -> Path:
    """The folder of ONNX Runtime's C header: $MMVQ_ORT_INCLUDE, else where .ci/run puts it, else the system's."""
    named = os.environ.get("MMVQ_ORT_INCLUDE")
    places = [Path(named)] if named else [CACHE / "include", Path("/usr/include/onnxruntime")]
    for place in places:
        if (place / HEADER).exists():
            return place
    pytest.skip(
        f"the C example was not run: no {HEADER} in {' or '.join(map(str, places))}; .ci/run fetches it, or name its "
        "folder in MMVQ_ORT_INCLUDE"
    )


def _library(folder: Path) -> Path:
    """A folder with ONNX Runtime's shared library: $MMVQ_ORT_LIB, else the one that onnxruntime's wheel brings."""
    if named := os.environ.get("MMVQ_ORT_LIB"):
        return Path(named)
    brought = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.1*"))
    if not brought:
        pytest.skip("the C example was not run: onnxruntime's wheel brings no libonnxruntime.so.1; name the folder of "
                    "one in MMVQ_ORT_LIB")  # fmt: skip
    place = folder / "lib"
    place.mkdir()
    (place / "libonnxruntime.so.1").symlink_to(brought[0])  # the name by which programs look for it
    return place


def _run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=LONGEST_S)
