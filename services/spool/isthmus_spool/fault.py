"""How a code server tells its agent, beside a gRPC status, that an attempt's files could not be written."""

from typing import Final

#: In the trailing metadata of a status INTERNAL: nothing was started, and there is to be room before it is tried again.
FILES_FAULT: Final = ("isthmus-fault", "attempt-files")
