"""report.html, a run to look at: page (the whole), reasons (windows and their pieces), code_maps (what the maps show),
maps (how they are drawn), matrices (the numbers), teachers (student and teachers side by side)."""

from mmvq_train.report.page import write_report

__all__ = ["write_report"]
