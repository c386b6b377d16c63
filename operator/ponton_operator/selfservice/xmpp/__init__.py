"""The front desk: the XMPP door at the bare gateway domain."""
