"""How several rewards become one advantage: one file a method, the same for exact policies and live models."""
