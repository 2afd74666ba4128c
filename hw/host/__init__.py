"""The host port: an address map over memories, queues, status, faults and counters."""

from tsp.hw.host.address import (
    BAD_REQUESTS,
    HOST_READ,
    IDENTITY,
    REGISTERS,
    SPACES,
    FaultRecord,
    HostAddress,
    HostPort,
    Register,
    Space,
    Status,
    host_bits,
)
from tsp.hw.host.answer import ReadGather, ReadPath
from tsp.hw.host.clock import ProgramClock
from tsp.hw.host.recorder import FaultRecorder
from tsp.hw.host.request import RequestPath

__all__ = [
    "BAD_REQUESTS",
    "HOST_READ",
    "IDENTITY",
    "REGISTERS",
    "SPACES",
    "FaultRecord",
    "FaultRecorder",
    "HostAddress",
    "HostPort",
    "ProgramClock",
    "ReadGather",
    "ReadPath",
    "Register",
    "RequestPath",
    "Space",
    "Status",
    "host_bits",
]
