//! Health checks, sans-IO: when to probe, what the probes' results amount to, and what the sites
//! tell each other of it. It opens no connection and knows nothing of what its verdicts are for.
