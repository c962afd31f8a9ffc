"""Fresh questions for monitors: combinations of our own wording, so many that none is ever asked twice in a run."""
