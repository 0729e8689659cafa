"""The completion studio's screen: an editor for one document, and what stands beside it."""
