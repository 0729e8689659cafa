"""The conversation on screen: one virtualised view over a document that grows while it is read."""
