"""WhatsApp as the bridge sees it: the port (typed events and commands) and, beside it, its drivers."""
