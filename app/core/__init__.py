"""What the web side and the workers share; it knows neither of them."""
