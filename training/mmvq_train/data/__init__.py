"""Recordings to windows of training, calibration and test people; augmentation."""

from mmvq_train.data.augment import augment, mirrored, mixed, mixtures, stretched
from mmvq_train.data.dataset import Dataset, WindowSet, load_dataset

__all__ = ["Dataset", "WindowSet", "augment", "load_dataset", "mirrored", "mixed", "mixtures", "stretched"]
