"""What every request passes through: hosts, proxies, headers, metrics and traces."""
