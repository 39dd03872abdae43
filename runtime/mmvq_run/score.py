"""How well window labels agree with a file's own: macro-F1, balanced accuracy, confusion matrix. Pure."""

from collections.abc import Mapping

import numpy as np

from mmvq_bridge.recordings import Recording, RecordingFile
from mmvq_run.events import Event
from mmvq_run.metadata import Metadata
from mmvq_run.signal import cut_recording


class Score:
    """Counts windows by (true label, told label). Windows without 60 % of one label are left out, as in training."""

    def __init__(self, file: RecordingFile, metadata: Metadata, hop_s: float) -> None:
        self.unlabelled = 0
        self._counts: dict[tuple[str, str], int] = {}
        self._truths = (_truth_by_start(one, file, metadata, hop_s) for one in file.recordings)
        self._truth: Mapping[float, str | None] = {}

    def take(self, event: Event) -> None:
        """The next event of the file's stream: recordings come in turn, each with its own session."""
        if event["type"] == "session":
            self._truth = next(self._truths)
        elif event["type"] == "window":
            self._add(self._truth[event["start"]], event["label"])

    def _add(self, true: str | None, told: str) -> None:
        if true is None:
            self.unlabelled += 1
        else:
            self._counts[true, told] = self._counts.get((true, told), 0) + 1

    def report(self) -> list[str]:
        """Lines for a person. F1 and recall are averaged over the labels that the truth holds."""
        labels = sorted({label for pair in self._counts for label in pair})
        truth = {true for true, _ in self._counts}
        index = {label: i for i, label in enumerate(labels)}
        confusion = np.zeros((len(labels), len(labels)), dtype=int)
        for (true, told), count in self._counts.items():
            confusion[index[true], index[told]] = count
        present = [index[label] for label in labels if label in truth]
        if not present:
            return ["no window has a label to compare with"]
        f1, recall = class_f1(confusion)[present], class_recall(confusion)[present]
        width = max(map(len, labels))
        cell = max(4, len(str(confusion.max())) + 1)
        head = "true \\ told".ljust(width) + "  " + "".join(str(i).rjust(cell) for i in range(len(labels)))
        rows = [
            f"{label.ljust(width)} {i:<3}" + "".join(str(n).rjust(cell) for n in confusion[i])
            for i, label in enumerate(labels)
            if label in truth
        ]
        others = [f"{i} {label}" for i, label in enumerate(labels) if label not in truth]
        left_out = f"; left out for want of a label: {self.unlabelled}" if self.unlabelled else ""
        return [
            f"macro-F1 {f1.mean():.4f}, balanced accuracy {recall.mean():.4f} over {int(confusion.sum())} windows "
            f"and {len(present)} labels{left_out}",
            head.ljust(width + 4),
            *rows,
            *([f"told but never true: {', '.join(others)}"] if others else []),
        ]


def _truth_by_start(
    recording: Recording, file: RecordingFile, metadata: Metadata, hop_s: float
) -> Mapping[float, str | None]:
    """The label of each window of a recording, by the window's start in seconds; None without a majority."""
    windows, indices = cut_recording(recording, file.rate_hz, metadata.rate_hz, metadata.window, hop_s)
    return {
        round(window.start, 4): file.labels[index] if index >= 0 else None
        for window, index in zip(windows, indices, strict=True)
    }


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each label, 2 tp / (2 tp + fp + fn); confusion: (true, told) counts. 0 where nothing was hit."""
    hits = np.diag(confusion)
    return 2 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)


def class_recall(confusion: np.ndarray) -> np.ndarray:
    """Share of each true label's windows that were told so. 0 where there are none."""
    return np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
