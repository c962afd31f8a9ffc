"""Volume and stance told apart: how often a topic comes up, and how it is spoken of."""
