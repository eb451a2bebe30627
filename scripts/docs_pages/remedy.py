"""What to do about errors whose message does not say it: they are answered by who gets them, or told in the words of others."""

import re
from typing import Final

#: By the room and the class.
REMEDIES: Final = {
    "isthmus_agent.CodeServerNotReadyError": "Wait: it is asked again once they are. `isthmus location show NAME` tells how far it is.",
    "isthmus_agent.CodeServerRefusedError": "The cause says what the code server did not like; its output is in the agent's folder.",
    "isthmus_agent.CodeServerUnavailableError": "Nothing: it is asked again, or started again. When it comes back often, look at its output.",
    "isthmus_agent.AttemptFilesError": "Make room in the agent's folder, and launch again.",
    "isthmus_agent.DataFolderUnfitError": "Give the agent another folder with ISTHMUS_AGENT_DATA_DIR: on a named volume or a bind mount, at a short path.",
    "isthmus_agent.DedicatedElsewhereError": "Nothing: another server is taken.",
    "isthmus_agent.DedicatedServerLostError": "Read the last lines that it wrote, which are in the run's failure. For memory, give the location more.",
    "isthmus_agent.EngineRefusedError": "The engine's own words say what it needs: a network, a mount, a limit, a name that is free.",
    "isthmus_agent.IdentityNotHeldError": "Nothing, when the broker is away: it passes. Otherwise end the other process of that name.",
    "isthmus_agent.ImageUnavailableError": "Check the image's name, pull it by hand, and give the agent credentials with ISTHMUS_AGENT_REGISTRY_CONFIG_FILE.",
    "isthmus_agent.LoadTimeoutError": "Give it longer with `load_timeout_s` of the location or ISTHMUS_AGENT_LOAD_TIMEOUT_S, or import less.",
    "isthmus_agent.LocationFaultError": "The agent's log has all of it. `isthmus location reload NAME` begins anew.",
    "isthmus_agent.LocationRefusedError": "Change the location, or the rule of the agent's policy.",
    "isthmus_agent.LocationUnavailableError": "`isthmus location show NAME` has the traceback. Mend the project, then `isthmus location reload NAME`.",
    "isthmus_agent.LogsNotFoundError": "Read it sooner, or have files kept for longer: ISTHMUS_AGENT_RUN_FILES_KEPT_S.",
    "isthmus_agent.RegistryConfigError": "Mend the file that ISTHMUS_AGENT_REGISTRY_CONFIG_FILE names.",
    "isthmus_agent.RunEndedError": "Nothing: somebody asked for its end.",
    "isthmus_agent.RunRefusedError": "Ask for less, or change the rule of the agent's policy.",
    "isthmus_agent.ServerFaultError": "The agent's log has all of it. The server is started again by itself.",
    "isthmus_agent.ServerStartError": "The operating system's words say why: an interpreter that is not there, a folder that may not be entered, no room.",
    "isthmus_agent.StaleAttemptError": "Nothing: a later attempt of the run counts.",
    "isthmus_broker.BrokerUnavailableError": "Check that RabbitMQ runs and that ISTHMUS_BROKER_URL names it. What waits is sent by itself once it is back.",
    "isthmus_broker.MalformedMessageError": "Somebody else writes to this exchange or queue, or a far older release does: find out who.",
    "isthmus_broker.PublishRefusedError": "What was said is too large for the broker: have the run say less, or raise RabbitMQ's `max_message_size`.",
    "isthmus_broker.PublishUnknownError": "Nothing: it is sent again, and told apart by its id.",
    "isthmus_broker.QueueFullError": "Whoever empties the queue is away or slow: look at the monitor. What waits is sent by itself.",
    "isthmus_broker.QueueHeldError": "Nothing: this process waits for its turn. End the other one to hand over.",
    "isthmus_broker.TopologyError": "The message ends with what to do.",
    "isthmus_broker.UnroutableError": "The queue is missing: for an agent, `isthmus agent create NAME`; for the monitor, start the control plane first.",
    "isthmus_cli.InputError": "The message names the option, file or value, and the line below it what to write instead.",
    "isthmus_client.ConflictError": "The message says which state is in the way, and what would change it.",
    "isthmus_client.DeadlineError": "Try again; it is safe to repeat. `isthmus agent list` tells whether the agent is heard.",
    "isthmus_client.InvalidRequestError": "Each line names a field and what to write instead.",
    "isthmus_client.NotFoundError": "Look at what there is: `isthmus run list`, `location list`, `agent list`. Mind `--deployment`.",
    "isthmus_client.ServerFaultError": "The control plane's log has the error under the id in the message.",
    "isthmus_client.TokenError": "Correct ISTHMUS_API_TOKEN, or the file that ISTHMUS_API_TOKEN_FILE names: one line that only you can read.",
    "isthmus_code_server.AttemptFailedError": "Read the code server's output, then launch again.",
    "isthmus_code_server.ChildLostError": "A signal or an exit within your import or config: run `isthmus-code-server check` with the same options.",
    "isthmus_code_server.ConfigError": "The message says what the field needs. The agent writes this file: compare the releases of both.",
    "isthmus_code_server.EnvFileError": "Mend the file: each line is NAME=value.",
    "isthmus_code_server.ImportEndedError": "Read the code server's last words: for memory, give the location more; for an exit, find it in the project.",
    "isthmus_code_server.InstanceUnavailableError": "Give the step a retry policy, or rerun it once the control plane is back.",
    "isthmus_code_server.MalformedRequestError": "Compare the releases of agent and code server.",
    "isthmus_code_server.NotLoadedError": "Wait while it loads. When it failed, `isthmus location show NAME` has the traceback.",
    "isthmus_code_server.QueryRefusedError": "The cause says why; [the instance](../instance.md) lists what can be asked.",
    "isthmus_console.QueryError": "The line below it says what may be written. Correct the address, or load the page again.",
    "isthmus_control_plane.CronError": "Mend that field of the schedule's cron expression in the code; `isthmus schedule preview NAME` shows its times.",
    "isthmus_control_plane.ConflictError": "Take another name, or remove the one that is there.",
    "isthmus_control_plane.InvalidRequestError": "Each fault is named with its field, and what to write instead.",
    "isthmus_control_plane.NotFoundError": "Look at what there is: `isthmus run list`, `location list`, `agent list`. Mind `--deployment`.",
    "isthmus_control_plane.PreconditionError": "The message says which state is in the way. Wait for it, or change it.",
    "isthmus_dev.NodeCommandError": "RabbitMQ's words are in the message. `rm -r .isthmus/rabbitmq` begins anew, when nothing waits in it.",
    "isthmus_dev.NodeStartError": "The end of its log says why. A port or a host name are the usual ones.",
    "isthmus_dev.TargetError": "Name what to load with -m, -f, -p or -w.",
    "isthmus_monitor.WebhookError": "Check the receiver. It is tried again for a day.",
    "isthmus_spool.JournalError": "A disk that was full, or that fails. The run ends with this reason; launch it again.",
    "isthmus_store.LeaseLostError": "Nothing: the other process goes on with the work.",
    "isthmus_store.RejectedWriteError": "Nothing that it carried was stored. With a PostgreSQL of yours, look whether somebody changed its tables.",
    "isthmus_store.UnknownRunError": "The run was removed, or the database was restored from before it.",
}
_TELLS = re.compile(
    r"\b(?:ask|call again|change|check|choose|correct|end (?:it|some)|fix|install|launch|look|make room|mend|nothing has to|name|repeat|say|set|"
    r"start|stop|take|try|upgrade|use|write)\b",
    re.IGNORECASE,
)


def tells_what_to_do(message: str) -> bool:
    """Tell whether a message has an imperative in what follows its first clause."""
    return any(_TELLS.search(part) for part in re.split(r"[.:;] ", message)[1:])
