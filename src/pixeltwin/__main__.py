"""`python -m pixeltwin`."""

from pixeltwin.cli import app

app()
