"""Measurements that anyone can run; nothing here passes or fails on a time."""
