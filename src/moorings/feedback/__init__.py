"""What says how good an answer is: rewards, ensembles of them, comparisons, and stored answers with their rewards."""
