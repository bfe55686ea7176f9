class EmbeddedPostgresError(Exception):
    """Its text is one sentence or two for the person at the terminal: what is wrong and what to do."""
