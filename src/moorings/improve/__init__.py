"""Ways to turn a subject, data and feedback into the next subject."""
