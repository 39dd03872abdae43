"""Recordings and a text bank to a run directory: codebook, teachers, and the signal-only student."""

from mmvq_bridge import __version__ as __version__
