"""What an operator sees of a running gateway: the Test Events page, its API, health and metrics. It only reads."""
