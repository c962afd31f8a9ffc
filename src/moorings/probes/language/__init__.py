"""A grammar with a lexicon that puts worlds into words, and a parser that reads them back."""
