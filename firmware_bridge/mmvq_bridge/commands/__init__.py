"""What mmvq-bridge can do, a module each: `add_to` adds its words to a parser, `work` does it."""

from mmvq_bridge.command import say
from mmvq_bridge.stream.records import printable


def tell(message: str) -> None:
    """One line to the person, without what a terminal would obey: words of a file or a device may be in it."""
    say(f"mmvq-bridge: {printable(message)}")
