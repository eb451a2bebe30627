"""Instructions: what each asks for, and the one result that each of them gets."""
