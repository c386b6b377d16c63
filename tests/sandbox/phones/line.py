"""What every part of a phone stands on: its account, the network, its keys and its randomness.

Made once per phone by `phone.Phone` and shared by the parts beside it.
"""

from dataclasses import dataclass

from tests.sandbox.contract import Account, Network
from tests.sandbox.node import JID, Node
from tests.sandbox.signal.device import Device
from tests.sandbox.signal.kdf import Random


class PhoneError(ValueError):
    """What is asked of a phone cannot be done; the sentence says why, and whoever asked has to act."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One phone's connection to the network, without a wire."""

    account: Account
    network: Network
    device: Device
    random: Random

    @property
    def lid(self) -> JID:
        """The phone's own address, device 0."""
        return self.account.lid

    def submit(self, stanza: Node) -> None:
        """Send a stanza as device 0."""
        self.network.submit(self.account.lid, stanza)

    def seconds(self) -> str:
        """Now, as stanzas say it."""
        return str(int(self.network.now()))

    def address(self, jid: JID) -> JID:
        """The LID of a device, by which Signal sessions are named; raises PhoneError for a stranger."""
        if (lid := self.network.lid(jid)) is None:
            raise PhoneError("there is no such account")
        return lid.of_device(jid.device)

    def chat(self, jid: JID) -> JID:
        """The bare LID of an account; raises PhoneError for a stranger."""
        return self.address(jid).bare

    def number(self, jid: JID) -> str:
        """`+336...` of an account, or the address as it is where no number is known."""
        pn = self.network.pn(jid)
        return f"+{pn.user}" if pn else str(jid)
