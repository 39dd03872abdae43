"""Samples to windows to events, at the edge: numpy, onnxruntime and pyserial, never torch."""

from mmvq_bridge import __version__ as __version__
