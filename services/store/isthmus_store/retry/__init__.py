"""What follows a run that failed: a new run that does again what is left of it, if the rules say so."""
