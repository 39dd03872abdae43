"""One parser under Atheris, in a process of its own, as libFuzzer ends its process when it is done.

    python benchmarks/fuzz_one.py TARGET CORPUS FOUND [libFuzzer's flags]     # run by fuzz.py

CORPUS: a folder of inputs to begin with, which grows. What breaks a promise goes into the folder FOUND, a file for each
place in the code where one breaks: the input, and beside it (.json) what came out. It then goes on; hangs, crashes of
native code and memory are libFuzzer's to notice.
"""

import ctypes
import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Final

import atheris

TESTS: Final = Path(__file__).resolve().parent.parent / "tests"
PACKAGES: Final = ("mmvq_bridge", "mmvq_run")


def main() -> None:
    name, corpus, found, *flags = sys.argv[1:]
    sys.path[:0] = [str(TESTS / "bridge"), str(TESTS / "run")]
    with atheris.instrument_imports(include=list(PACKAGES)):
        import bridge_promises
        import file_promises
        import stream_promises
    targets = bridge_promises.TARGETS | stream_promises.TARGETS | file_promises.TARGETS
    check, places = targets[name].check, set()
    warnings.simplefilter("error")  # numpy's would stand on stderr among the runtime's own lines

    def one(data: bytes) -> None:
        try:
            check(data)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [at for at in frames if any(package in at.filename for package in PACKAGES)] or frames
            place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
            kind = type(error).__name__
            if (place, kind) not in places:
                places.add((place, kind))
                told = {"error": kind, "says": str(error)[:200], "where": place, "bytes": len(data)}
                path = Path(found) / f"broken-{len(places)}"
                path.write_bytes(data)
                path.with_suffix(".json").write_text(json.dumps(told))

    for seed in targets[name].seeds():
        one(seed)
    # libFuzzer ends the process from native code, where Arrow's threads, there by now, may be waited for for ever.
    end = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)(lambda status, _: os._exit(status))
    ctypes.CDLL(None).on_exit(end, None)
    atheris.Setup([sys.argv[0], corpus, *flags], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
