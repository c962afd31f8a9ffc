"""Rounds of self-improvement under a charter: run, watched, promoted, held, rolled back or stopped."""
