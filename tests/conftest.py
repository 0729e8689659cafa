"""What all tests share."""

import signal

from hypothesis import settings

# No example fails for having taken long on a busy machine. Examples are new ones in each run, so half of the usual
# number keeps a run short and misses nothing for long; `--hypothesis-profile=thorough` looks for longer at once.
settings.register_profile("short", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("short")

# A shell starts its background jobs with Ctrl+C ignored, which every process that a test starts would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# nohup does the same with the loss of the terminal.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
