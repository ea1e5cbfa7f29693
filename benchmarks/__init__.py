"""Side-by-side measurements. Each module runs alone: ``python -m benchmarks.NAME --help``."""
