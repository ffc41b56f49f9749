"""The worker process: its broker, consumers, executor, leases and housekeeping."""
