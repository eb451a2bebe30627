"""Where the processes below a code server find it, to ask the instance."""

from typing import Final

#: The variable that holds the address of the supervisor's socket: "@" and a name in Linux's abstract namespace.
ADDRESS_VARIABLE: Final = "ISTHMUS_INSTANCE_SOCKET"
