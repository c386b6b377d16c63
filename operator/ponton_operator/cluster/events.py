"""Every event that the control plane's drivers log, by name; docs/local.md lists them (tested).

Snake case, past tense. Fields are opaque names, counts, reasons and exit codes, never an address or a secret.
"""

from enum import StrEnum


class Event(StrEnum):
    """The registry; the comment says when."""

    RUNTIME_STARTED = "runtime_started"  # with the number of accounts and how processes are kept apart
    RUNTIME_STOPPED = "runtime_stopped"
    ISOLATION_REDUCED = "isolation_reduced"  # accounts share one user id; `why`
    GATEWAY_READ = "gateway_read"  # first, or because the file changed
    FILE_REFUSED = "file_refused"  # a YAML file that cannot be taken; the sentence is in the gateway's status
    FILES_ACCEPTED = "files_accepted"  # no file is refused any more
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_DELETED = "account_deleted"  # with the number of things that could not be done
    ACCOUNT_VANISHED = "account_vanished"  # YAML and status both gone: stopped, nothing unlinked or removed
    PHASE_CHANGED = "phase_changed"
    SHARD_STARTED = "shard_started"
    SHARD_TOLD_TO_END = "shard_told_to_end"
    SHARD_KILLED = "shard_killed"  # it did not end in its grace
    SHARD_HUNG = "shard_hung"  # its process lives and does nothing: ended by force, a successor starts
    SHARD_ENDED = "shard_ended"
    START_FAILED = "start_failed"
    LEFTOVER_FOUND = "leftover_found"  # a process of an earlier run, still there: ended and waited for
    STEP_FAILED = "step_failed"  # of a deletion; tried again
    FRONT_DESK_STARTED = "front_desk_started"
    FRONT_DESK_ENDED = "front_desk_ended"
    REDIS_LOST = "redis_lost"
    REDIS_REACHED = "redis_reached"
    REDIS_WITHOUT_USERS = "redis_without_users"  # it has no ACL: shards cannot reach it, and do without
    PROSODY_REFUSED = "prosody_refused"  # assign or release did not work; `why`
    RUNTIME_CRASHED = "runtime_crashed"  # a fault of ours; its children ended with it
    PLAN_FAILED = "plan_failed"  # a fault of ours; the account is planned again later


class OperatorEvent(StrEnum):
    """What only operators on a cluster log; docs/operators.md lists them (tested)."""

    OPERATOR_STANDS_BY = "operator_stands_by"  # until the Lease is free
    OPERATOR_WORKS = "operator_works"  # it has the Lease
    OPERATOR_ENDED = "operator_ended"  # as told; the Lease is free again
    OPERATOR_FAILED = "operator_failed"  # it ends, and is started again by the kubelet
