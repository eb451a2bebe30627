"""The words in which people are told of the contract's messages: the same at a terminal and on a page."""
