"""What an operator sees of a running gateway: the Test Events page, its API, health and metrics.

All of it reads, but for customers, whom other systems put in with a token.
"""
