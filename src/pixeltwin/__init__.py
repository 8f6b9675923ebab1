"""pixeltwin: a first-party gateway that gives every Meta Pixel hit a server-side twin."""
