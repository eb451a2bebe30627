"""Who may come in: by which name, with which session, and what a browser may do with a page."""
