"""The first driver behind the WhatsApp port: neonize 0.5.2, that is whatsmeow in a Go library.

Only the wheel's library and its protobuf modules are used, never its Python client, which loads some 30 MiB of web,
image and phone-number libraries into every shard (`docs/neonize-driver.md` has the figures). What is thin: `native`
(the C functions), `session` (one client object and its thread), `protos`. What is pure: `events` and `jids` (and what
is shared with the core driver: `whatsapp.content`, `whatsapp.failures`). `driver.NeonizeDriver` is what the shard uses.
"""
