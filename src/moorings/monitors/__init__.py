"""What drifts when a model is improved round after round, each watched by a monitor."""
