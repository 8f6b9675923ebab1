"""A stand-in for Meta on loopback: it validates and de-duplicates like the real one, from PROTOCOL alone.

Nothing here imports pixeltwin's own reading of the wire: a mistake in one must show up in the other.
"""
