"""What an operator sees of a running gateway: the Test Events page, its API, health and metrics.

All of it reads, but for customers, whom other systems put in, and letters of the outbox: with a token.
"""
