"""What tests and benchmarks share: drawn pictures, servers, a stub hub, small models."""
