"""What a project defines, as the contract tells it."""
