"""The demo: all parts on this machine, played by a script or by a person."""
