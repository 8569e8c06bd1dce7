"""What the exit status of a command says; the table is docs/cli.md's too."""

from __future__ import annotations

from vecdb.errors import DataLoss, DeadlineExceeded, Internal, PartialWrite, ReadOnly, Unavailable, VecdbError

OK = 0
REFUSED = 1
USAGE = 2  # as click has it
NO_ANSWER = 3
DAMAGE = 4
DEFECT = 70
INTERRUPTED = 130

MEANINGS = {
    OK: "It did what was asked.",
    REFUSED: "It was refused, or failed; standard error says why, with the reason.",
    USAGE: "The command line or a setting is wrong; nothing was done.",
    NO_ANSWER: "No server answers at the address, it did not answer in time, or it is not healthy.",
    DAMAGE: "Damage was found in the data.",
    DEFECT: "A defect of vecdb, or a server that had to be ended by force.",
    INTERRUPTED: "Ctrl-C. (After another signal it is 128 plus its number: 143 after SIGTERM.)",
}


def status_of(error: VecdbError) -> int:
    """The exit status for an error."""
    if isinstance(error, PartialWrite):
        return status_of(error.cause)
    if isinstance(error, DataLoss):
        return DAMAGE
    if isinstance(error, Internal):
        return DEFECT
    if isinstance(error, Unavailable | DeadlineExceeded) and not isinstance(error, ReadOnly):
        return NO_ANSWER
    return REFUSED
