"""Load against an endpoint, and what it measured: time to first token, inter-token latency, throughput, goodput."""
