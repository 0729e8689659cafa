"""Small pictures and clips as a message carries them."""

import hashlib

from gemma_backend.types import AudioPart, ImagePart


def image(content: bytes = b"png", name: str = "a.png") -> ImagePart:
    return ImagePart(content, "image/png", name, 4, 3, hashlib.sha256(content).hexdigest(), "scaled")


def clip(content: bytes = b"wav", name: str = "a.wav") -> AudioPart:
    return AudioPart(content, "wav", name, 1.5, hashlib.sha256(content).hexdigest(), peaks=(0.25, 1.0))
