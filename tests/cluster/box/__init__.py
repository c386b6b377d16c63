"""The cluster in a box: a whole Kubernetes in private namespaces, up in seconds, gone without a trace."""
