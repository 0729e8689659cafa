"""What runs inside the engine's own environment: the launcher and the vLLM plugins."""
