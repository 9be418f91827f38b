"""A browsable, citable atlas of sparse-autoencoder features."""
