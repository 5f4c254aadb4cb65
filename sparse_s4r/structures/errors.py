"""Errors that a user can mend: the command shows their message alone, without a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """Something given by the user is wrong; the message names it, what was expected, what came and the remedy."""


class DataError(UserError):
    """A capture, scene or prediction on disk cannot be used."""


class ConfigError(UserError):
    """A configuration cannot be used; the message names the key by its full path."""


class CheckpointError(UserError):
    """A checkpoint cannot be used."""
