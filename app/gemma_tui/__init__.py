"""A terminal UI that runs Gemma 4 E2B on your own machine."""

__version__ = "0.1.0"
