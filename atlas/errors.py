"""The one exception that a reader of the terminal sees.

Every foreseeable failure (a bad recipe, a missing file, weights of the wrong shape, a full disk) is
raised as `AtlasError`; `atlas.cli` prints it as one line and exits with code 2. Anything else that
escapes is a bug and keeps its traceback.
"""

from __future__ import annotations


class AtlasError(Exception):
    """A foreseeable failure: where it is, what is wrong, and how to mend it, in one line.

    Args:
        where: The file, key, page or feature concerned, as the user would write it.
        wrong: What is wrong with it.
        mend: What to do about it; empty when the message already says so.
    """

    def __init__(self, where: object, wrong: str, mend: str = "") -> None:
        self.where = str(where)
        self.wrong = wrong
        self.mend = mend
        line = f"{self.where}: {wrong}" + (f"; {mend}" if mend else "")
        super().__init__(" ".join(line.split()))

    def __reduce__(self) -> tuple[type[AtlasError], tuple[str, str, str]]:
        """How it comes back from another process: an exception is rebuilt from its message alone otherwise."""
        return AtlasError, (self.where, self.wrong, self.mend)
