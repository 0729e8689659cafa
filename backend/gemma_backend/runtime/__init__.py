"""vLLM installations: found, installed, checked."""
