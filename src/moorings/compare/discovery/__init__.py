"""Proposers of hypotheses: what the arms might differ in. Only held-out prompts tell whether they do."""
