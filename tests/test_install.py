"""What a stranger gets: a wheel in an empty environment, with and without the extra that the edge needs."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A recording of a still wrist, in CSV, as the edge reads it without pyarrow.
RECORDING = "recording,subject,label,t_ms,x,y,z\n" + "".join(
    f"1,anna,sitting,{i * 50},{0.01 * (i % 3)},0.02,1.0\n" for i in range(400)
)


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    found = list(folder.glob("mmvq-*.whl"))
    if not found and "hatchling" in built.stderr:
        pytest.skip("no package registry at hand to fetch the build backend from")
    assert found, built.stderr
    return found[0]


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    return folder


def test_a_wheel_with_the_extra_cpu_labels_a_recording_and_brings_no_torch(
    wheel: Path, empty_environment: Path, tmp_path: Path
) -> None:
    python = empty_environment / "bin" / "python"
    command = empty_environment / "bin" / "mmvq-run"
    (tmp_path / "still.csv").write_text(RECORDING)
    constraints = ("-c", ROOT / "constraints.txt")

    installed = run(python, "-m", "pip", "install", "--quiet", *constraints, wheel, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    bare = run(command, "--input", "still.csv", cwd=tmp_path)
    assert bare.returncode != 0
    assert "mmvq[cpu]" in bare.stderr
    assert len(bare.stderr.strip().splitlines()) <= 2  # which model, and the one line

    installed = run(python, "-m", "pip", "install", "--quiet", *constraints, f"{wheel}[cpu]", cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    told = run(command, "--input", "still.csv", "--format", "jsonl", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert '"type":"window"' in told.stdout
    assert '"because":[{' in told.stdout
    packages = run(python, "-m", "pip", "list", cwd=tmp_path).stdout.lower()
    assert "onnxruntime" in packages
    assert "torch" not in packages
    assert "pyarrow" not in packages


def test_the_wheel_carries_data_bank_model_and_template(wheel: Path) -> None:
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "mmvq_train/embedded/wisdm.parquet",
        "mmvq_train/embedded/splits.json",
        "mmvq_train/banks/wisdm.json",
        "mmvq_train/banks/wisdm.safetensors",
        "mmvq_train/banks/selfback.json",
        "mmvq_train/prompts/arm-leg.txt",
        "mmvq_train/pages/bank.html.j2",
        "mmvq_train/pages/report.html.j2",
        "mmvq_run/pages/report.html",
        "mmvq_run/packaged/student.onnx",
        "mmvq_run/packaged/MODEL_CARD.md",
        "mmvq_run/packaged/demo.mmvqcap",
    ):
        assert name in names
