"""The instance that user code asks: its storages answer from the control plane's store."""
