"""Tests on a real Kubernetes: the cluster in a box, or the one that KUBECONFIG names. Run by `make test-cluster`."""
