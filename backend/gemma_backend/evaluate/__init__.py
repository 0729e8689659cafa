"""Measuring a served model: benchmarks and quality."""
