"""How what user code made crosses into the contract: metadata, encodable values, failures."""
