"""The control plane of Ponton: doors, plans and runtimes."""
