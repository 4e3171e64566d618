"""Speed and memory beside the host's, one module per benchmark; run by ``tools/benchmark.py``."""
