"""Features of a window as people who recognise activities have long computed them, for a random forest.

Of x, y, z and the magnitude: mean, deviation, least, most, quartiles, mean step, skewness, kurtosis, crossings of the
mean; power in bands, the strongest frequency and its share, the spectrum's centre and entropy; how like it is to itself
a quarter of a second to two seconds later. Between axes: correlations. And the angles of gravity.
"""

from itertools import combinations, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

BANDS_HZ: Final = (0.3, 1.0, 2.0, 3.0, 4.5, 6.0, 10.0)
LAGS_S: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
SMALL: Final = 1e-9
Floats = npt.NDArray[np.float32]


def handcrafted(x: Floats, rate_hz: float) -> Floats:
    """Windows (N, W, 3) in g -> (N, features)."""
    curves = np.concatenate([x, np.linalg.norm(x, axis=-1, keepdims=True)], axis=-1).transpose(0, 2, 1)
    mean = curves.mean(-1, keepdims=True)
    rest = curves - mean
    deviation = rest.std(-1)
    unit = rest / (deviation[..., None] + SMALL)
    parts = [
        mean[..., 0], deviation, curves.min(-1), curves.max(-1), *np.quantile(curves, (0.25, 0.5, 0.75), axis=-1),
        np.abs(np.diff(curves)).mean(-1), (unit**3).mean(-1), (unit**4).mean(-1),
        (np.diff(np.signbit(rest), axis=-1) != 0).mean(-1),
        *_spectral(rest, rate_hz), *(_alike(unit, round(lag * rate_hz)) for lag in LAGS_S),
        np.stack([(unit[:, i] * unit[:, j]).mean(-1) for i, j in combinations(range(3), 2)], axis=1),
        np.arctan2(mean[:, (1, 2, 0), 0], mean[:, (2, 0, 1), 0]),
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _spectral(rest: Floats, rate_hz: float) -> list[Floats]:
    """(N, 4) each, of curves (N, 4, W) without their means."""
    power = np.abs(np.fft.rfft(rest * np.hanning(rest.shape[-1]))) ** 2
    hertz = np.fft.rfftfreq(rest.shape[-1], 1 / rate_hz)
    total = power.sum(-1) + SMALL
    share = power / total[..., None]
    bands = [
        np.log(power[..., (hertz >= low) & (hertz < high)].sum(-1) + SMALL)
        for low, high in pairwise(BANDS_HZ)
    ]
    entropy = -(share * np.log(share + SMALL)).sum(-1)
    return [*bands, hertz[power.argmax(-1)], share.max(-1), (share * hertz).sum(-1), entropy]


def _alike(unit: Floats, lag: int) -> Floats:
    """Autocorrelation (N, 4) of curves (N, 4, W) of unit deviation."""
    return np.asarray((unit[..., lag:] * unit[..., :-lag]).mean(-1), dtype=np.float32)
