"""What a worker does with a job: actors, one task for each queue, and progress reports."""
