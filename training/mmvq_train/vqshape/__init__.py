"""VQShape (Wen et al., NeurIPS 2024, arXiv 2411.01006) as published: a baseline, and parts to build with.

    config = VQShapeConfig()                                     the published net; PRESETS["small"] for a CPU
    model = pretrain(config, series, Path("runs/v"), Recipe(batch=256, max_steps=500))      series (N, samples)
    model = load_vqshape(Path("runs/v"))
    guess = linear_probe(token_features(model, train), y, token_features(model, test), groups=subjects)
    guess = linear_probe(histogram_features(model, train), y, histogram_features(model, test), groups=subjects)

train, test (N, channels, samples), of any length; every channel is a series of its own to the net. `tokenize` gives
codes and attributes, `forecast` the series rebuilt from its first patches; `model(x)` everything about series (B, 512).
The files: config (dials), layers, quantiser, drawing, model; losses; stage, training (pre-training); features, probe,
complete (modes); ts_files, sources (data); evaluate, cli.
"""

from mmvq_train.vqshape.complete import forecast as forecast
from mmvq_train.vqshape.complete import forecast_errors as forecast_errors
from mmvq_train.vqshape.complete import imputation_errors as imputation_errors
from mmvq_train.vqshape.config import PRESETS as PRESETS
from mmvq_train.vqshape.config import Recipe as Recipe
from mmvq_train.vqshape.config import VQShapeConfig as VQShapeConfig
from mmvq_train.vqshape.evaluate import evaluate as evaluate
from mmvq_train.vqshape.features import histogram_features as histogram_features
from mmvq_train.vqshape.features import token_features as token_features
from mmvq_train.vqshape.features import tokenize as tokenize
from mmvq_train.vqshape.model import VQShape as VQShape
from mmvq_train.vqshape.probe import linear_probe as linear_probe
from mmvq_train.vqshape.sources import Part as Part
from mmvq_train.vqshape.sources import Source as Source
from mmvq_train.vqshape.sources import read_sources as read_sources
from mmvq_train.vqshape.training import load_vqshape as load_vqshape
from mmvq_train.vqshape.training import pretrain as pretrain
