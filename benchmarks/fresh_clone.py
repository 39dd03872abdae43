"""The two commands of the README in a fresh clone, as a stranger would run them, with their times.

    python benchmarks/fresh_clone.py

Needs git, make and Python only; writes benchmarks/results/fresh_clone.json. Uses the committed state, not the working
tree. Standard library only, as nothing is installed yet.
"""

import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds and output; the benchmark fails with the command."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
    return round(time.perf_counter() - start, 1), done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "mmvq"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        revision = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(revision, cwd=clone, capture_output=True, text=True, check=True).stdout.strip()
        demo, shown = timed(["make", "demo"], clone)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # kB; the hungriest process
        metrics = json.loads((clone / "runs" / "latest" / "metrics.json").read_text())
        model = (clone / "runs" / "latest" / "student.onnx").stat().st_size
        subprocess.run(["make", "clean"], cwd=clone, check=True, stdout=subprocess.DEVNULL)
        test, passed = timed(["make", "test"], clone)
    result = {
        "benchmark": "fresh_clone",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seed": metrics["seed"],
        "make_demo_seconds": demo,
        "training_seconds": round(sum(metrics["seconds"].values()), 1),
        "training_seconds_by_stage": metrics["seconds"],
        "make_demo_peak_memory_gib": round(memory, 2),
        "make_test_seconds": test,
        "demo_model_bytes": model,
        "demo_model_macro_f1": metrics["test"]["macro_f1"],
        "demo_test_people": len(metrics["test"]["per_subject"]),
        "tests": next((line for line in reversed(passed.splitlines()) if " passed" in line), ""),
        "demo_last_windows": [line for line in shown.splitlines() if "because" in line][-3:],
    }
    path = ROOT / "benchmarks" / "results" / "fresh_clone.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
