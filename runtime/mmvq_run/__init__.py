"""Samples to windows to events, at the edge: numpy, onnxruntime and pyserial, never torch."""

from typing import TYPE_CHECKING, Any

from mmvq_bridge import __version__ as __version__

if TYPE_CHECKING:
    from mmvq_run.streaming import stream as stream


def __getattr__(name: str) -> Any:
    """`stream`, once it is asked for: training imports this package for its signal code alone."""
    if name == "stream":
        from mmvq_run.streaming import stream

        return stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
