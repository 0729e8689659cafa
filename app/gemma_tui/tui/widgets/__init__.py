"""Parts of the screens, each drawn by itself."""
