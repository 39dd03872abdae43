"""Recordings to windows of training, calibration and test people; augmentation."""

from mmvq_train.data.augment import augment, flattened, mirrored, mixed, mixtures
from mmvq_train.data.dataset import Dataset, WindowSet, load_dataset

__all__ = ["Dataset", "WindowSet", "augment", "flattened", "load_dataset", "mirrored", "mixed", "mixtures"]
