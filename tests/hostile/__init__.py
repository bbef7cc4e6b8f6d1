"""Attacks on a hidden model, each judged by what MLflow remembers and by every byte that comes back."""
