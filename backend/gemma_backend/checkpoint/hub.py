"""The model hub: its errors as sentences, and a checkpoint's headers without its weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gemma_backend.checkpoint.header import Checkpoint, tensor_of
from gemma_backend.types import EngineError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


# What the library and we raise for an answer, a header or an index that is none.
DAMAGE = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


def remote_checkpoint(repository: str, revision: str | None = None, *, endpoint: str | None = None) -> Checkpoint:
    """Config and headers of a repository, some 300 KB of it; its tensors can't be read.

    Raises UsageError for a repository that does not exist or may not be read, EngineError for what else is in the way.
    """
    from huggingface_hub import HfApi, errors

    api = HfApi(endpoint=endpoint)
    place = Path(f"{api.endpoint}/{repository}")
    with sentences(repository, revision, api.endpoint):
        # Asked first, since the next call takes a repository that is not there for one without weights.
        try:
            api.model_info(repository, revision=revision, timeout=30)
        except DAMAGE as error:
            raise no_answer(error, api.endpoint) from error
        try:
            found = api.get_safetensors_metadata(repository, revision=revision, timeout=30)
            tensors = {
                name: tensor_of(place / file, name, vars(info), 0)
                for file, header in found.files_metadata.items()
                for name, info in header.tensors.items()
            }
        except errors.NotASafetensorsRepoError:
            raise UsageError(
                f"{repository} holds no safetensors weights, so vLLM cannot serve it: name another repository."
            ) from None
        except (errors.SafetensorsParsingError, *DAMAGE) as error:
            if isinstance(error, errors.HFValidationError | errors.HfHubHTTPError):
                raise
            raise EngineError(f"The headers of {repository} are damaged: nothing can be told of it.") from None
        config = _config(api, repository, revision)
    return Checkpoint(place, config, dict(sorted(tensors.items())))


def _config(api: HfApi, repository: str, revision: str | None) -> dict[str, object]:
    import tempfile

    from huggingface_hub import hf_hub_download

    # Not into the cache: there a config without weights would look like a download that was cut.
    with tempfile.TemporaryDirectory(prefix="gemma-config-") as folder:
        path = hf_hub_download(repository, "config.json", revision=revision, endpoint=api.endpoint, local_dir=folder)
        try:
            config = json.loads(Path(path).read_text("utf-8"))
        except (ValueError, RecursionError):
            config = None
    if not isinstance(config, dict):
        raise EngineError(f"The config.json of {repository} is no JSON object: nothing can be told of it.")
    return config


class Unreachable(EngineError):
    """The hub, or the way to it, does not answer now; the same may succeed later."""


def no_answer(error: Exception, endpoint: str) -> Exception:
    """For an answer that cannot be read a sentence, for an error that `sentences` knows the error itself."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError | errors.HFValidationError | errors.OfflineModeIsEnabled):
        return error
    return Unreachable(
        f"{endpoint} does not answer like a model hub: look whether a proxy or a login page stands between, or whether "
        "HF_ENDPOINT is right."
    )


@contextmanager
def sentences(repository: str, revision: str | None, endpoint: str) -> Iterator[None]:
    """Turn what huggingface_hub raises within into one of our errors, each a sentence with what to do."""
    import httpx2
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.GatedRepoError:
        raise UsageError(
            f"{repository} is gated: accept its terms at {endpoint}/{repository}, then set HF_TOKEN to a token of that "
            "account."
        ) from None
    except errors.RevisionNotFoundError:
        raise UsageError(f"{repository} has no revision {revision!r}: check it at {endpoint}/{repository}.") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UsageError(
            f"There is no repository {repository} at {endpoint}, or it is private: check the name, or set HF_TOKEN."
        ) from None
    except errors.RemoteEntryNotFoundError:
        raise UsageError(f"{repository} lacks its config.json or weights: name another repository.") from None
    except errors.HfHubHTTPError as error:
        raise _refused(error.response.status_code, repository, endpoint) from None
    except (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        httpx2.TransportError,
        ConnectionError,
    ) as error:
        if constants.HF_HUB_OFFLINE:
            raise EngineError(f"HF_HUB_OFFLINE is set, so nothing is fetched: unset it to reach {endpoint}.") from None
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            # An answer to the question for a file's size, taken for none at all.
            raise _refused(error.__cause__.response.status_code, repository, endpoint) from None
        raise Unreachable(
            f"{endpoint} could not be reached, or the connection broke: check the network and start again; what was "
            "fetched is kept."
        ) from None
    except OSError as error:
        if error.errno is None:
            raise Unreachable(
                f"A file of {repository} did not arrive whole: start again; what was fetched is kept."
            ) from None
        raise EngineError(f"{repository} could not be stored: {error.strerror or error}.") from None


def _refused(code: int, repository: str, endpoint: str) -> EngineError | UsageError:
    """The error for an HTTP status that is no success."""
    if code in (401, 403):
        return UsageError(f"{endpoint} refused the token: set HF_TOKEN to a valid one, or unset it.")
    if code == 429:
        return Unreachable(
            f"{endpoint} was asked too often (HTTP 429): wait some minutes and start again; with a token in HF_TOKEN "
            "more is allowed."
        )
    kind = Unreachable if code >= 500 else EngineError
    return kind(f"{endpoint} answered with HTTP {code} for {repository}: try again later; what was fetched is kept.")
