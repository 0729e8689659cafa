"""Everything of gemma-tui that has no screen: engines, endpoints, conversations, metrics, checkpoints."""
