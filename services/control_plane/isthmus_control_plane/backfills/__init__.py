"""Backfills: runs for many partitions, made a bounded number at a time, until each partition came to something."""
