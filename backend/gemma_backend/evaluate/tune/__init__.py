"""Finding a better configuration for one machine: what is tried, in which order, and what came of it."""
