"""Moorings supervises AIs that improve AIs."""

__version__ = "0.1.0"
