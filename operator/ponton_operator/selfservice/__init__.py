"""The doors through which owners help themselves, over one account service."""
