"""What whatsmeow's error texts mean, as the port's errors; for both drivers. Pure.

They are matched by their stable part and never shown. What is not in the table is taken as
uncertain: better one doubt told than a loss hidden.
"""

import re
from typing import Final

from ponton_bridge.model.errors import PontonError, WhatsAppError
from ponton_bridge.whatsapp.port import (
    NewContactsBlocked,
    NotConnected,
    NotOnWhatsApp,
    SendRefused,
    SendUncertain,
)

UNCERTAIN: Final = (
    "WhatsApp did not answer, so this message may or may not have gone out. "
    "Look at your phone before you send it again."
)
NO_CODE: Final = "WhatsApp gave no code for this number. Check the number, or scan the picture instead."
NOT_TAKEN: Final = "WhatsApp did not take this answer. Try again, with the passkey that WhatsApp has of this number."
NOT_SENT: Final = "There is no connection to WhatsApp at the moment; this message was not sent."
_REFUSED: Final = re.compile(r"server returned error (\d+)")
NEW_CONTACTS_BLOCKED: Final = "463"
NOT_CONNECTED: Final = (
    "not logged in",
    "client is nil",
    "not connected",
    "websocket disconnected before",
    "timed out waiting for connection",
)
NOBODY: Final = ("no LID found", "no devices", "not on WhatsApp")
UNSENT: Final = (
    "failed to get device list",
    "failed to query",
    "failed to send usync",
    "couldn't get",
    "failed to fetch prekeys",
)


def of_send(text: str) -> PontonError:
    """Give the error for a message that was not confirmed."""
    if refused := _REFUSED.search(text):
        if refused[1] == NEW_CONTACTS_BLOCKED:
            return NewContactsBlocked(
                "WhatsApp does not let this number write to new contacts for now. Conversations that exist already "
                "go on; try this one again in some days."
            )
        return SendRefused(f"WhatsApp refused this message (error {refused[1]}). It was not sent.")
    if any(part in text for part in NOBODY):
        return NotOnWhatsApp("Nobody has this number at WhatsApp, so the message was not sent.")
    if any(part in text for part in (*NOT_CONNECTED, *UNSENT)):
        return NotConnected(NOT_SENT)
    return SendUncertain(UNCERTAIN)


def of_call(text: str) -> PontonError:
    """Give the error for any other command."""
    if any(part in text for part in NOT_CONNECTED):
        return NotConnected("There is no connection to WhatsApp at the moment.")
    return WhatsAppError("WhatsApp did not do what was asked.")
