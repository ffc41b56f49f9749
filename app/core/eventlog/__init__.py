"""The event log: one append-only stream for each user, and cursors into it."""
