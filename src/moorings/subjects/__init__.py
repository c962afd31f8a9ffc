"""Anything whose behaviour can be recorded, behind one small protocol."""
