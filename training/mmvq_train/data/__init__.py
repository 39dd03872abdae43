"""Recordings to windows of training, calibration and test people; augmentation."""

from mmvq_train.data.augment import augment, mixed, stretched
from mmvq_train.data.dataset import Dataset, WindowSet, load_dataset

__all__ = ["Dataset", "WindowSet", "augment", "load_dataset", "mixed", "stretched"]
