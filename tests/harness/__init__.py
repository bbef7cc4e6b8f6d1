"""Starts a real MLflow and a real sekisho in temporary folders, and looks at what they did."""
