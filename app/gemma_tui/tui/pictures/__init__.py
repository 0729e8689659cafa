"""Pictures in the ways that terminals can draw them."""
