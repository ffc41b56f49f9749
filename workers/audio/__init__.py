"""Audio: joining, encoding and tagging of sound."""
