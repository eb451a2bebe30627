"""What the agent's owner allows, whatever the control plane asks for: pure judgements."""
