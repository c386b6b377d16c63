"""slixmpp drivers: the component stream of a shard, uploads, the shapes of messages on the wire."""
