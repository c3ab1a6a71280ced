"""Which libraries are installed, in which version. Imports none of them."""

from __future__ import annotations

from importlib import metadata

LIBRARIES = (
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "bitsandbytes",
    "huggingface-hub",
    "gradio",
    "timm",
)


def read_versions() -> dict[str, str | None]:
    """Installed versions; None for what is missing."""
    found: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = None
    return found
