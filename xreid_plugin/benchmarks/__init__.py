"""Speed and memory beside the host's, one module a benchmark; run by ``tools/benchmark.py``."""
