"""The state that control plane and monitor share."""
