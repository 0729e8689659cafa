"""From /metrics, NVML and /proc to samples, rates and quantiles."""
