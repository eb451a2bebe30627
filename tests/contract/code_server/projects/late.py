"""Imported by an asset at the time when it runs."""

VALUE = 42
