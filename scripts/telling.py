"""How pages say figures."""

NAMES = {"wisdm_watch": "WISDM watch, 18 activities", "selfback_wrist": "selfBACK wrist, 9 activities"}


def short(value: float, digits: int = 3) -> str:
    """.812 for a share."""
    return f"{value:.{digits}f}".removeprefix("0")


def signed(value: float) -> str:
    """+.012 for a difference."""
    return ("−" if value < 0 else "+") + short(abs(value))
