"""Whole screens: the conversation, first-run set-up, the model picker and the keys."""
