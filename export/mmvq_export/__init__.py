"""A run directory to one small, self-contained ONNX file, and the proof that it says what the student said."""

from mmvq_bridge import __version__ as __version__
