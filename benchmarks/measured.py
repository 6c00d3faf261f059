"""Runs a command and says what it took, as JSON: seconds, seconds of the processor, MB at most.

    python benchmarks/measured.py COMMAND ...

A process of its own, and a small one: what a process held that starts another counts as that one's, too.
"""

import json
import os
import resource
import sys
import time

if __name__ == "__main__":
    started = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=nowhere)
    _, status = os.waitpid(child, 0)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}
    print(json.dumps(figures))
    sys.exit(os.waitstatus_to_exitcode(status))
