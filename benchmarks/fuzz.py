"""Every parser that reads a device, a file or the network, under Atheris: does any input break what it promises?

    python benchmarks/fuzz.py [TARGET ...] [--seconds N]     # 60 a target; pip install atheris

Without TARGET all of them, and results/fuzz.json is written: for each its executions, the coverage that libFuzzer
counts (edges of the bytecode of mmvq_run and mmvq_bridge), peak memory, and what was found. What is promised, and the
seeds (frames, captures, recordings and models of this repository), is in tests/*/*_promises.py and wants the extras
export and files; whatever is found lies in --keep DIR (default: a temporary folder, named at the end). Exit status 1 if
anything was found.

Not under test: actfast, which reads the binary files of devices in a process of its own; what a person types (URLs,
options); and the native insides of ONNX Runtime and Arrow, which are run but not measured.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from mmvq_bridge.command import say

ROOT: Final = Path(__file__).resolve().parent.parent
MEMORY: Final = Path("/dev/shm")  # small files are written by the thousand
SHORT: Final = 400  # bytes of an input that is told in the result
FLAGS: Final = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=10000", "-seed=1", "-print_final_stats=1")
GRACE_S: Final = 120  # to import, to run the seeds and to end


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default 60)")
    parser.add_argument("--keep", type=Path, help="folder, a new one, for the inputs that were found")
    arguments = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error("needs Atheris; pip install atheris")
    if arguments.keep and arguments.keep.exists():
        parser.error(f"{arguments.keep} is there already, and may hold what another run found")
    seeds = {name: target.seeds() for name, target in all_targets().items()}
    unknown = sorted(set(arguments.targets) - set(seeds))
    if unknown:
        parser.error(f"no target {unknown[0]}; there are {', '.join(seeds)}")
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    found = {name: fuzzed(name, seeds[name], arguments.seconds, keep) for name in arguments.targets or seeds}
    if not arguments.targets:
        # Only here: what it imports would count as memory of every process that is started before.
        from common import write_result

        write_result("fuzz", 1, {
            "seconds_a_target": arguments.seconds, "atheris": version("atheris"),
            "executions": sum(one["executions"] for one in found.values()),
            "found": sum(len(one["found"]) for one in found.values()), "targets": found,
        })
    broken = any(one["found"] for one in found.values())
    if broken:
        say(f"inputs: {keep}")
    elif not arguments.keep:
        shutil.rmtree(keep)
    return int(broken)


def all_targets() -> dict[str, Any]:
    """Name: parser under test."""
    sys.path[:0] = [str(ROOT / "tests" / "bridge"), str(ROOT / "tests" / "run")]
    import bridge_promises
    import file_promises
    import stream_promises

    return bridge_promises.TARGETS | stream_promises.TARGETS | file_promises.TARGETS


def fuzzed(name: str, seeds: list[bytes], seconds: int, keep: Path) -> dict[str, Any]:
    """What fuzzing one target for so long found."""
    folder = keep / name
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / f"seed-{number:02}").write_bytes(seed)
        script = str(Path(__file__).with_name("fuzz_one.py"))
        flags = [*FLAGS, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/"]
        start = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, script, name, corpus, str(folder), *flags], text=True, errors="replace", check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + GRACE_S,
                env=os.environ | ({"TMPDIR": str(MEMORY)} if MEMORY.is_dir() else {}),
            )  # fmt: skip
            status, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired as error:
            status, said = -1, (error.stdout or b"").decode("utf-8", "replace")
        inputs = len(list(Path(corpus).iterdir()))
    told = {
        "executions": number_in(said, r"stat::number_of_executed_units: (\d+)"),
        "coverage": number_in(said, r"cov: (\d+)"), "seeds": len(seeds), "inputs": inputs,
        "peak_rss_mb": number_in(said, r"stat::peak_rss_mb:\s+(\d+)"), "seconds": round(time.monotonic() - start, 1),
        "found": findings(folder, status, said),
    }  # fmt: skip
    say(f"{name}: {json.dumps(told)}")
    return told


def findings(folder: Path, status: int, said: str) -> list[dict[str, Any]]:
    """Broken promises, what libFuzzer stopped at, and an end that nobody explains."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            continue
        about = path.with_suffix(".json")
        one = json.loads(about.read_text()) if about.exists() else {"error": path.name.split("-")[0]}
        if path.stat().st_size <= SHORT:
            one["input"] = path.read_bytes().hex()
        found.append(one)
    if status and not any(not path.name.startswith("broken-") for path in folder.iterdir()):
        found.append({"error": f"exit status {status}", "says": said[-1000:]})
    return found


def number_in(text: str, pattern: str) -> int:
    """The last number of that kind, 0 if there is none."""
    return int((re.findall(pattern, text) or ["0"])[-1])


if __name__ == "__main__":
    sys.exit(main())
