"""Run attempts as the agent knows them: who holds which, and how one is closed whose code server died."""
