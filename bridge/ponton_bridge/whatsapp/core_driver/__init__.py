"""The core driver behind the WhatsApp port: whatsmeow in a process of its own (`bridge/whatsapp-core`).

WhatsApp hears of a message only when the shard has it on disk, ids of messages are chosen here, and a crash of the
library costs some milliseconds instead of a shard. What is thin: `child` (one process and its frames), `keeper` (its
restarts). What is pure: `events`, `calls`, `restarts`, `place`. `driver.CoreDriver` is what the shard uses;
docs/whatsapp-core.md has the protocol.
"""
