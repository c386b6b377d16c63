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
    PORTAL_STARTED = "portal_started"
    PORTAL_ENDED = "portal_ended"
    REDIS_LOST = "redis_lost"
    REDIS_REACHED = "redis_reached"
    REDIS_WITHOUT_USERS = "redis_without_users"  # it has no ACL: shards cannot reach it, and do without
    PROSODY_REFUSED = "prosody_refused"  # assign or release did not work; `why`
    RUNTIME_CRASHED = "runtime_crashed"  # a fault of ours; its children ended with it
    PLAN_FAILED = "plan_failed"  # a fault of ours; the account is planned again later


class OperatorEvent(StrEnum):
    """What only operators on a cluster log; docs/operators.md lists them (tested)."""

    OPERATOR_STANDS_BY = "operator_stands_by"  # until the Lease is free
    NAMESPACE_LEFT_OUT = "namespace_left_out"  # we may not see it (any more); asked again; the others are served
    NAMESPACE_SERVED = "namespace_served"  # we may see it after all
    NAMESPACE_LET_GO = "namespace_let_go"  # it is being removed: finalizers were taken off without it; with a count
    NAMESPACE_HELD_UP = "namespace_held_up"  # accounts that we do not know keep it from going: a person has to act
    OPERATOR_WORKS = "operator_works"  # it has the Lease
    OPERATOR_ENDED = "operator_ended"  # as told; the Lease is free again
    LEASE_LOST = "lease_lost"  # it could not be renewed in time, or is another's: ends at once, is started again
    ACCOUNT_REFUSED = "account_refused"  # it is not as this version knows accounts; nothing is done about it
    GATEWAY_REFUSED = "gateway_refused"  # the same of a gateway
    GATEWAY_READY = "gateway_ready"  # its secrets could be read
    GATEWAY_NOT_READY = "gateway_not_ready"  # they cannot; nothing of it starts; `why`
    START_WAITS = "start_waits"  # its pod cannot be made now; `why`; tried again
    LISTED = "listed"  # what there is was taken in; with counts
    OBJECT_APPLIED = "object_applied"  # made or changed for a gateway; `kind`
    OBJECT_DELETED = "object_deleted"  # not wanted any more; `kind`
    OBJECT_REFUSED = "object_refused"  # the cluster does not take it; `kind`, `error`; tried again
    LOOK_FAILED = "look_failed"  # the API did not answer; the gateway is looked at again
    SWEPT = "swept"  # a watch had missed that objects are gone; with counts
    OPERATOR_FAILED = "operator_failed"  # it ends, and is started again by the kubelet
    TIER_CHANGED = "tier_changed"  # the scaler gives a shard another size
    ACCOUNT_IDLE = "account_idle"  # the scaler parks an account; `why`
    RESIZE_REFUSED = "resize_refused"  # the cluster cannot resize this pod where it runs
    PORTAL_SCALED = "portal_scaled"  # the scaler wants another number of replicas; with the pages that are open
    ALARM_CHANGED = "alarm_changed"  # a wave of bans or a storm of reconnections began or ended
    SWEEP_FAILED = "sweep_failed"  # a look at a gateway's heartbeats; the next comes in seconds
    RESOURCE_REFUSED = "resource_refused"  # a resource that cannot be read; it is left alone
