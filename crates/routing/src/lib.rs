//! Route 53: zones, records and health checks as configuration, compiled into decisions, and DNS
//! packets answered from them. It opens no socket, probes nothing, and keeps nothing on disk.
