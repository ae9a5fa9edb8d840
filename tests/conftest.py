"""Settings every test runs under."""

from hypothesis import settings

settings.register_profile("spexlens", deadline=None)  # a busy machine is no failure
settings.load_profile("spexlens")
