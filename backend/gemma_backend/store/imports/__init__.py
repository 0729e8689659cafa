"""Conversations from other programs."""
