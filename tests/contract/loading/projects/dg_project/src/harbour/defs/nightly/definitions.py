import dagster as dg

unload = dg.define_asset_job("unload", selection="cargo")
every_night = dg.ScheduleDefinition(job=unload, cron_schedule="0 3 * * *")

defs = dg.Definitions(jobs=[unload], schedules=[every_night])
