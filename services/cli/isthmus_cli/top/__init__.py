"""`isthmus top`: runs, queue and agents at a terminal, live."""
