"""Real recordings in the package: twelve wearers of WISDM (CC BY 4.0), cut by scripts/make_embedded_data.py."""

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
RECORDINGS: Final = _HERE / "wisdm.parquet"
SPLITS: Final = _HERE / "splits.json"
