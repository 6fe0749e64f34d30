"""Secrets out of settings, tags, names and messages, before anything leaves the process."""

from profkit.masking.masker import MASK, MAX_TEXT, Masker, masker

__all__ = ["MASK", "MAX_TEXT", "Masker", "masker"]
