"""Every error a user can meet: what is wrong, where, what to do."""

from __future__ import annotations


class SymcheckError(Exception):
    """An error that the user can act on; `str` gives the three lines that the terminal shows."""

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class ClaimError(SymcheckError):
    """The text of a claim, a group or an action is not understood."""


class LoadError(SymcheckError):
    """A file is unreadable, refused, or does not fit the model."""


class DataError(SymcheckError):
    """The inputs or outputs do not fit the claim."""


class ModelError(SymcheckError):
    """The model itself failed while it was called."""


class ConfigError(SymcheckError):
    """An option or a configuration key is unknown or has a bad value."""
