"""Ways to see a response: phrases, sparse features, embeddings with the prompt taken out."""
