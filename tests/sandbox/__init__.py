"""WhatsApp in a box: a server, phones and contacts that an unmodified linked client believes.

Used by the integration tests, the demo, the chaos runs and the benches. Loopback only: it never opens an
outgoing connection.
"""
