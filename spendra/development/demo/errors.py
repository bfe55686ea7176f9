class DemoError(Exception):
    """Its text is for the person at the terminal: what went wrong and, where there is one, the way out."""
