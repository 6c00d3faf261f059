"""How the jobs of a plan had ended when one looked: read once, for all that a run writes about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refbench.plan import Plan
from refbench.store import Store

Record = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """Records of jobs by key, as `Store` has them one by one; a job that never ended has none.

    Attributes:
        done: keys of all results in the store but those that are to be replaced.
        ended: see `Store.record`.
        failures: see `Store.failure`.
    """

    done: frozenset[str]
    ended: Mapping[str, Record]
    failures: Mapping[str, Record]


def read_records(plan: Plan, store: Store) -> Records:
    """Read the records of all jobs of a plan.

    Raises:
        StoreError: one of them is damaged.
    """
    keys = dict.fromkeys(job.key for job in plan.jobs())
    results, failed = frozenset(store.keys()), store.failed()
    there = results.union(failed, store.dropped_keys())
    ended = {key: record for key in keys if key in there and (record := store.record(key))}
    failures = {key: record for key in keys if key in failed and (record := store.failure(key))}
    return Records(results - store.replaced(), ended, failures)
