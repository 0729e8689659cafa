"""From a command's options to a session, for the commands without a screen."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemma_backend.config.profiles import Profile
    from gemma_backend.config.settings import Settings
    from gemma_backend.session.session import Session


def session_for(args: argparse.Namespace, settings: Settings) -> Session:
    """A session, not yet started, on the endpoint or profile that was asked for; may ask to install what is missing.

    Warnings go to standard error. Raises GemmaError with what a person can do.
    """
    from gemma_backend.endpoint.address import find_key, key_warning, parse_url
    from gemma_backend.session.choose import chosen_profile
    from gemma_backend.session.session import Session
    from gemma_backend.types import UsageError

    if args.url is not None:
        endpoint = parse_url(
            args.url, api_key=find_key(args.api_key_file), ca_file=args.ca_file, insecure=args.insecure
        )
        if warning := key_warning(endpoint):
            print(f"gemma-tui: {warning}", file=sys.stderr)
        return Session.for_endpoint(endpoint, args.model, settings)
    profile, why = chosen_profile(settings.profile)
    if why and sys.stderr.isatty():
        print(f"gemma-tui: {why}", file=sys.stderr)
    for flag in ("api_key_file", "ca_file", "insecure", *(() if profile.url else ("model",))):
        if getattr(args, flag):
            raise UsageError(f"--{flag.replace('_', '-')} goes with --url: give the address of the server, too.")
    if profile.url is None:
        _check_runtime(profile, args)
    return Session.for_profile(profile, settings, args.model)


def _check_runtime(profile: Profile, args: argparse.Namespace) -> None:
    """Install the profile's runtime after a yes where it is missing, and say where it can be updated."""
    from gemma_backend.runtime.find import find
    from gemma_backend.runtime.outdated import outdated

    runtime = find(profile.runtime)
    if runtime is None:
        from gemma_tui.cli.ask_install import install_after_yes

        install_after_yes(profile, yes=args.yes)
    elif (old := outdated(runtime)) is not None:
        print(f"gemma-tui: {old}", file=sys.stderr)
