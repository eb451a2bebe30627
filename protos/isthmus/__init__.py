"""The contract between the parts of Isthmus."""
