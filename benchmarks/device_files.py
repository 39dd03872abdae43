"""Files as devices wrote them: what is read of each, what its quality is, and what mmvq-run makes of it.

    python benchmarks/device_files.py ../shared/data        # writes results/device_files.json
"""

from typing import Any

from common import data_folder, write_result

from mmvq_bridge.importers.device_file import read_device_file
from mmvq_bridge.quality import lines, quality
from mmvq_run import stream


def main() -> None:
    folder = data_folder() / "device_files"
    write_result("device_files", 0, {"files": {path.name: told(str(path)) for path in sorted(folder.iterdir())}})


def told(path: str) -> dict[str, Any]:
    """Of one file."""
    file = read_device_file(path)
    found = quality(file)
    windows = [event for event in stream(path) if event["type"] == "window"]
    return {
        "device": found.device, "seconds": found.timing.seconds, "missing_seconds": found.timing.missing_s,
        "rate_hz": found.timing.nominal_hz, "rate_hz_by_its_clock": found.timing.true_hz,
        "gravity_at_rest_g": found.scale.gravity, "notices": found.notices[1:], "says": lines(found),
        "windows": len(windows), "labels": sorted({window["label"] for window in windows}),
    }


if __name__ == "__main__":
    main()
