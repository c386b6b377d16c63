"""The programs of the control plane, each `main(arguments) -> exit code`; looked up by `ponton_bridge.cli`."""
