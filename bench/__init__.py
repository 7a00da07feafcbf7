"""Benchmarks: the cost of processing events, compared with other systems that do the same work in the same run."""
