"""What the control plane keeps: BridgeAccount and BridgeGateway, the models from which the CRDs are made."""
