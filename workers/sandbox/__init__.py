"""Running programs on what somebody sent, within bounds and with nothing of ours to reach.

`process.start` starts one, `limits` says what it may use and see, `exits` how it ended, `python` how to run a module
of ours. `launcher` and what it imports (`kernel`, `landlock`, `namespaces`, `identity`, `seccomp`) run in the new
process, before the program, and use the standard library alone.
"""
