"""Chance of profkit's own: an application that has seeded the `random` module counts on what it gives next."""

from random import Random

chance = Random()  # noqa: S311 - no secret
"""Takes the place of the module's functions."""
