"""Question sets whose answers are known: built, filtered, asked, scored, and given to others."""
