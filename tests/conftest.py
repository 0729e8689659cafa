"""What all tests share."""

from hypothesis import settings

# These machines are noisy: no example fails for having taken long.
settings.register_profile("noisy", deadline=None)
settings.load_profile("noisy")
