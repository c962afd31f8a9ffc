"""Defences: what keeps a round of training from overwriting what earlier rounds, or people, put there."""
