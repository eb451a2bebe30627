"""The monitor's settings: environment variables in, one validated object out."""

from typing import Final

from isthmus_broker.settings import BrokerSettings
from isthmus_lifecycle import settings
from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from isthmus_monitor.lease import Patience
from isthmus_monitor.webhook import Webhook

_PREFIX: Final = "ISTHMUS_MONITOR_"
#: What to do about a missing variable.
_REMEDIES: Final = {
    "ISTHMUS_BROKER_URL": "set it to RabbitMQ's address, as in amqp://user:password@host:5672/vhost",
    "ISTHMUS_DATABASE_URL": "set it to the control plane's database, as in sqlite:////var/lib/isthmus/isthmus.db or "
    "postgresql://user:password@host/isthmus",
}


class MonitorSettings(BaseSettings):
    """How one monitor runs. Times are in seconds.

    ``ISTHMUS_BROKER_URL`` and ``ISTHMUS_DATABASE_URL`` are shared with the other services; every other variable is the
    attribute's name in capitals behind ``ISTHMUS_MONITOR_``.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, populate_by_name=True, extra="ignore", frozen=True)

    #: RabbitMQ's address, as in `amqp://user:password@host:5672/vhost`.
    broker_url: str = Field(validation_alias=AliasChoices("broker_url", "ISTHMUS_BROKER_URL"), min_length=1, repr=False)
    #: The control plane's database, as in `postgresql://user:password@host/isthmus`.
    database_url: str = Field(
        validation_alias=AliasChoices("database_url", "ISTHMUS_DATABASE_URL"), min_length=1, repr=False
    )
    #: How many queues telemetry is spread over, as the control plane declares them. Every monitor attaches to all; each
    #: queue is given to one of them, and to another when that one goes.
    shards: int = Field(default=1, ge=1, le=64)
    #: Batches that may be delivered and not yet stored.
    prefetch: int = Field(default=400, ge=1, le=10_000)
    #: Batches that are stored in one transaction at the most.
    max_group: int = Field(default=200, ge=1, le=10_000)
    #: A run that nobody vouches for, though its agent is heard, is lost after this.
    lease_ttl_s: float = Field(default=30.0, gt=0)
    #: A silent agent is lost after this.
    agent_lost_after_s: float = Field(default=30.0, gt=0)
    #: The runs of a silent agent are given up after this.
    agent_gone_after_s: float = Field(default=900.0, gt=0)
    #: Receivers of alerts, as a JSON list: `[{"url": "https://…", "secret": "whsec_…", "kinds": ["run.failed"]}]`.
    webhooks: tuple[Webhook, ...] = Field(default=(), repr=False)

    @model_validator(mode="after")
    def _check_patience(self) -> "MonitorSettings":
        if self.agent_gone_after_s < self.agent_lost_after_s:
            message = "agent_gone_after_s is below agent_lost_after_s: runs would be given up before their agent"
            raise ValueError(message)
        return self

    @property
    def broker(self) -> BrokerSettings:
        """How the broker is reached."""
        return BrokerSettings(url=self.broker_url, connection_name="isthmus-monitor")

    @property
    def patience(self) -> Patience:
        """How long silence is borne."""
        return Patience(
            lease_ttl_s=self.lease_ttl_s,
            agent_lost_after_s=self.agent_lost_after_s,
            agent_gone_after_s=self.agent_gone_after_s,
        )


def load_settings() -> MonitorSettings:
    """Read the environment.

    Raises:
        SettingsError: Has a line for each variable that is missing or wrong, with what to do.
    """
    return settings.load_settings(MonitorSettings, remedies=_REMEDIES)
