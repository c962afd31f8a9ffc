"""What proves a set of items: one file a filter, run in a chain with counts in and out."""
