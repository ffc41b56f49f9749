"""How the service is: readiness, status, and metrics of all processes."""
