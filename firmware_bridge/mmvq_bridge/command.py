"""How every mmvq command ends: one line on stderr, and an exit status that a script can trust.

0 done, 1 failed while working, 2 wrong usage or bad input, 130 on Ctrl-C. A traceback is shown under `--debug` only.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias


class BadInput(Exception):
    """What the user gave cannot be used. The message says what, where, and what to do (exit status 2)."""


class Failed(Exception):
    """The work was asked for rightly and still went wrong (exit status 1)."""


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput instead of printing the usage."""
        raise BadInput(f"{message}; see {self.prog} --help")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # what subcommands are added to


def run_command(name: str, work: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Run `work(arguments)` and turn what comes out of it into an exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        status = work([word for word in arguments if word != "--debug"]) or 0
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python flushes at exit once more, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BadInput, Failed, OSError) as error:
        if debug:
            raise
        line = " ".join(str(error).split())
        message = "".join(letter if letter.isprintable() else "?" for letter in line)  # a file's words may be in it
        print(f"{name}: {message}", file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 1


def say(line: str) -> None:
    """One line of progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def above_zero(text: str) -> float:
    """An option's number, which is above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def seconds(text: str) -> float:
    """An option's number of seconds, 0 or more."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number
