"""Policies whose expectations are exact: softmax over answers that were stored or can be enumerated."""
