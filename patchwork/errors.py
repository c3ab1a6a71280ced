"""The one kind of error that readers see."""


class Problem(Exception):
    """One sentence for the reader: what happened and what to do next. Anything else that is raised is a bug."""
