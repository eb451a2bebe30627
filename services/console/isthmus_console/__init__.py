"""The console: runs, agents and locations as web pages, over the API that everybody has."""
