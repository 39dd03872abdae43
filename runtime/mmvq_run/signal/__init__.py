"""Resampling, windowing and subject splits: written once, used alike in training and live. Pure numpy, no I/O."""

from mmvq_run.signal.resample import GridSamples, Resampler, gap_limit_s
from mmvq_run.signal.splits import Split, load_folds, split_by_subject, subject_folds
from mmvq_run.signal.windows import QUIET_G, Window, Windower, cut_recording

__all__ = [
    "QUIET_G",
    "GridSamples",
    "Resampler",
    "Split",
    "Window",
    "Windower",
    "cut_recording",
    "gap_limit_s",
    "load_folds",
    "split_by_subject",
    "subject_folds",
]
