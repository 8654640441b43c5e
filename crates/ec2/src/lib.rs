//! The small part of EC2 that clients of the other services ask for: Regions, Availability Zones,
//! the default network, security groups and network interfaces, described. Nothing runs here, and
//! no packet is filtered.
