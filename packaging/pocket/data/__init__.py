"""What the pocket checkpoint learns from: text, pictures and sound, made from a seed by numpy and Pillow alone."""
