"""Sets and answers in the formats of other tools."""
