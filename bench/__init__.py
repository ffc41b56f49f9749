"""Benchmarks: what SmartVoice costs, measured side by side with the alternative."""
