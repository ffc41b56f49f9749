"""The workloads, each a function that measures one server once."""
