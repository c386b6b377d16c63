"""A lab of real XMPP clients, unattended: Gajim, Dino and profanity against a real Prosody.

`python -m tests.clients` (from `make clients`) drives them through linking an account and takes screenshots.
Everything lives in a network, mount and process namespace of its own, which the kernel empties at the end.
Needs root and the Debian packages named in `needs.py`.
"""
