"""Judge models: asked in fixed words, answered by fixed labels, never trusted with more than one item's verdict."""
