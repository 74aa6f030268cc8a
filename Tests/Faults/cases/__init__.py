"""The faults, by what they happen to; importing this registers them in the order of the table."""

from cases import (  # noqa: F401
    agents, gateways, points, servers, disks, failover, links, clients, byhand, crowds, imports)
