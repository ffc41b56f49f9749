"""Jobs: their state, their transitions, their progress, and how they reach the workers."""
