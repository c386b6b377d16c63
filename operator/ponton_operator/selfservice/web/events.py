"""Every event that the portal logs, by name; docs/portal.md lists them (tested). Fields are opaque ids and verbs."""

from enum import StrEnum


class PortalEvent(StrEnum):
    """The registry; the comment says when."""

    STARTED = "portal_started"
    ENDED = "portal_ended"
    CRASHED = "portal_crashed"  # a fault of ours; it is started again
    CONFIG_REFUSED = "config_refused"
    LOGIN_BEGUN = "login_begun"  # a code was asked for; whether it was one of our owners is not said
    OIDC_BEGUN = "oidc_begun"  # a browser was sent to the login server
    OIDC_FAILED = "oidc_failed"  # nobody was logged in; `why`, for the host (docs/portal.md)
    LOGGED_IN = "logged_in"  # with the account; `way`: code, confirmed (a yes by XMPP) or oidc
    LOGIN_REFUSED = "login_refused"  # a wrong or an old code, or a no by XMPP
    LOGGED_OUT = "logged_out"  # with the account; `everywhere`
    ACTED = "owner_acted"  # somebody asked for something: `verb`, the account, and how it went
    HOST_ACTED = "host_acted"  # somebody of the host did something to an account: `verb`, `by` (an account's name)
    LIMITED = "limited"  # too many requests of one kind; `kind`
    FORGED = "request_forged"  # no token, a wrong one, or from another page; nothing was done
    FAILED = "page_failed"  # a fault of ours; the visitor was told
    FOLLOW_FAILED = "follow_failed"  # the accounts cannot be followed now; tried again
