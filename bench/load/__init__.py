"""The load generator: raw protocols that count events, and producers that bring them in."""
