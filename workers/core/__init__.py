"""What all parts of the workers share: cancellation, blocking work, scratch folders, shutdown."""
