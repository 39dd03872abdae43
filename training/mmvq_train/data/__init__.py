"""Recordings to windows of training, calibration and test people; augmentation."""

from mmvq_train.data.augment import SLID_DEG, augment, flattened, mirrored, mixed, mixtures, noised, slid
from mmvq_train.data.dataset import Dataset, WindowSet, load_dataset

__all__ = [
    "SLID_DEG", "Dataset", "WindowSet", "augment", "flattened", "load_dataset", "mirrored", "mixed", "mixtures",
    "noised", "slid",
]
