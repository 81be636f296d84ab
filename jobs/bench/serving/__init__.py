"""The cost of an answer: CPU time, latency and memory of the gateway, beside other servers on the same model."""
