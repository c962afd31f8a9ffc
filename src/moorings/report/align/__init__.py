"""How people read what alignment methods did: gold against KL, rewards and multipliers, Pareto fronts, half-rounds."""
