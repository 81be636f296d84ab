"""What an answer costs: CPU time, latency and memory of the gateway, beside other servers on the same model."""
