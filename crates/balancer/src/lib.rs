//! Elastic Load Balancing v2: its API, and load balancers, listeners, rules and target groups as
//! configuration, compiled into decisions of where a request goes. It opens no socket, probes
//! nothing, and moves no byte of a request.
