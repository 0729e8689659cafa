"""From a BF16 checkpoint to an NVFP4 one."""
