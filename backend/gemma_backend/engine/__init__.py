"""One vLLM process: its command line, phases, health, failure cause, and a stop that leaves nothing behind."""
