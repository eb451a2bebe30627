"""Everything that Dagster is to know."""

from dagster import Definitions, load_asset_checks_from_modules, load_assets_from_modules

from bike_share import operations
from bike_share.assets import analytics, cleaning, ingest
from bike_share.automation import count_each_minute, daily_trips, daily_trips_schedule, inbox, network_report
from bike_share.warehouse import Warehouse

MODULES = [ingest, cleaning, analytics]

defs = Definitions(
    assets=load_assets_from_modules(MODULES),
    asset_checks=load_asset_checks_from_modules(MODULES),
    jobs=[
        daily_trips,
        network_report,
        operations.simulate_day,
        operations.count_bikes,
        operations.inspect_docks,
        operations.ask_operator,
        operations.repair_bike,
        operations.import_file,
    ],
    schedules=[daily_trips_schedule, count_each_minute],
    sensors=[inbox],
    resources={"warehouse": Warehouse()},
)
