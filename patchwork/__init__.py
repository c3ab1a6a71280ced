"""Patchwork's engine: load vision-language models and look inside them. Knows nothing about pages."""

__version__ = "0.1.0"
