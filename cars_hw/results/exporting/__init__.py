"""What an export is made of: the weights, the images that verify it, its proof, its card, its example."""
