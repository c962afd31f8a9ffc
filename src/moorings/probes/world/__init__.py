"""The world behind an item: a signed causal graph whose effects are computed twice, and what somebody wants of it."""
