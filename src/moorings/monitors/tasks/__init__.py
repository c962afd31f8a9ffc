"""Questions with checkable answers, made afresh for every look of a monitor."""
