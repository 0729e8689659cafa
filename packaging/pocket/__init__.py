"""What builds the pocket checkpoint: a Gemma 4 small enough to ship, run with the `quantize` runtime's Python."""
