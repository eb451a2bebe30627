"""How the assets are cut into days."""

from dagster import DailyPartitionsDefinition

daily = DailyPartitionsDefinition(start_date="2026-01-01")
