"""Checkpoints on disk: where they are, what is in them."""
