"""Records for people outside: audit lines that stand for a whole run."""
