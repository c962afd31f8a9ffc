"""Prompt sets, personas, simulated interactions, and the recording of a subject's behaviour on them."""
