"""Bytes to samples and back: protocol 1, recording files, and a simulated wearable. Needs numpy and pyserial only."""

__version__ = "0.1.0"
