"""The one composer: from a profile or endpoint to a running conversation and its events."""
