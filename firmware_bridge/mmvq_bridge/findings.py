"""What is found of a device (`doctor`) or of a file (`quality`), and how it is told to a person or a script. Pure."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

WIDTH: Final = 118  # of a line of the report


class Severity(StrEnum):
    """From worst to best."""

    FAULT = "fault"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FINE = "fine"


@dataclass(frozen=True)
class Finding:
    """kind: a word for scripts; says: what was found, with figures; do: what to do about it, empty if nothing."""

    kind: str
    severity: Severity
    says: str
    do: str = ""


def fault(kind: str, says: str, do: str) -> Finding:
    """What makes labels wrong or missing, or breaks the protocol."""
    return Finding(kind, Severity.FAULT, says, do)


def warning(kind: str, says: str, do: str) -> Finding:
    """What is worth mending, and mmvq-run gets along with."""
    return Finding(kind, Severity.WARNING, says, do)


def unknown(kind: str, says: str, do: str) -> Finding:
    """What could not be known by what was heard."""
    return Finding(kind, Severity.UNKNOWN, says, do)


def fine(kind: str, says: str, do: str = "") -> Finding:
    """What is as it should be."""
    return Finding(kind, Severity.FINE, says, do)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first, else in the order given."""
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))


def count_faults(findings: Iterable[Finding]) -> int:
    """How many are faults."""
    return sum(finding.severity is Severity.FAULT for finding in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """One line for all of them."""
    count = {severity: sum(finding.severity is severity for finding in findings) for severity in Severity}
    said = [counted(count[Severity.FAULT], "fault"), counted(count[Severity.WARNING], "warning")]
    open_ = f", {count[Severity.UNKNOWN]} unknown" if count[Severity.UNKNOWN] else ""
    return ("not healthy: " if count[Severity.FAULT] else "healthy: ") + ", ".join(said) + open_


def as_text(findings: Sequence[Finding]) -> str:
    """A report for a person: a line a finding, what to do below it, the verdict at the end."""
    lines = []
    for finding in by_severity(findings):
        head = f"{finding.severity:8} {finding.kind:11} "
        indent = " " * len(head)
        lines += textwrap.wrap(head + finding.says, WIDTH, subsequent_indent=indent)
        if finding.do:
            lines += textwrap.wrap(f"{indent}-> {finding.do}", WIDTH, subsequent_indent=indent + "   ")
    return "\n".join([*lines, "", verdict(findings)])


def as_json(findings: Sequence[Finding], **about: object) -> str:
    """The same as one JSON object on one line, for scripts; `about` says what was listened to."""
    told = [asdict(finding) for finding in by_severity(findings)]
    return json.dumps({**about, "healthy": not count_faults(findings), "verdict": verdict(findings), "findings": told})


def counted(number: int, noun: str) -> str:
    """1 frame, 1,234 frames."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def share(part: int, whole: int) -> str:
    """A share for a person: 0.051 %, 12.3 %."""
    percent = 100 * part / max(1, whole)
    return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"
