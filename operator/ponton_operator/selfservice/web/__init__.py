"""The portal: the self-service pages, the web door over the account service."""
