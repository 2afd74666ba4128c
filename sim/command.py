"""The entry point of the command ``tsp``, and how it ends when it is interrupted.

Little is imported here, so that a signal finds its handler while the rest is being imported.
"""

import signal
import sys
import warnings
from types import FrameType
from typing import NoReturn


class Stopped(KeyboardInterrupt):
    """A signal asked the command to end.

    Members
    -------
    status : int
        The exit status that shells expect then: 130 for Ctrl-C.
    """

    def __init__(self, number: int = signal.SIGINT):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    for other in _SIGNALS:  # what ends now is not disturbed
        signal.signal(other, signal.SIG_IGN)
    warnings.simplefilter("ignore")  # of hardware half made, which is told to be unused
    raise Stopped(number)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def farewell(stop: KeyboardInterrupt) -> int:
    """Report in one line that the command was stopped.

    Returns
    -------
    int
        The exit status.
    """
    # A terminal has shown ^C, which is no line of ours.
    start = "\n" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{start}stopped\n")
    return getattr(stop, "status", 130)


def main() -> None:
    """Run the command named on the command line."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _stop)
    try:
        from tsp.sim.cli import main as command

        command()
    except KeyboardInterrupt as stop:
        sys.exit(farewell(stop))
