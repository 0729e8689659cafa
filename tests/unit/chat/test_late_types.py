"""The OpenAI client without the types that are not used here, which are there all the same once somebody wants them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from gemma_backend.chat.client import _import_all, openai_client, request_headers
from gemma_backend.types import Endpoint

def loaded():
    return sum(name.startswith("openai.types.") for name in sys.modules)

_import_all()
client = openai_client(Endpoint("http://127.0.0.1:1"), read_seconds=1)
client.chat.completions.with_streaming_response.create, client.completions.with_streaming_response.create
before = loaded()
import openai
from openai.types.responses import Response
from openai.types import Completion, completion_create_params
assert openai.types.responses.Response is Response and openai.types.Completion is Completion
assert openai.types.completion_create_params is completion_create_params
try:
    openai.types.nothing
except AttributeError:
    print(before, loaded())
"""


def test_types_come_when_they_are_wanted() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before < 120 < 400 < after


def test_the_client_is_as_it_is_where_it_was_imported_before() -> None:
    program = PROGRAM.replace("import sys\n", "import sys\nimport openai\n", 1)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before == after


def test_a_release_without_these_packages_is_imported_as_it_is() -> None:
    program = "from gemma_backend.chat import late_types\nlate_types.PACKAGES = ('openai.gone', 'openai.gone.too')\n"
    done = subprocess.run([sys.executable, "-c", program + PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["openai.types", "openai.types.responses"])
def test_what_is_put_off_is_there_in_this_release(name: str) -> None:
    program = f"import sys\nfrom gemma_backend.chat.client import _import_all\n_import_all()\nsys.modules[{name!r}]"
    program += ".__class__.__name__ == 'LatePackage' or sys.exit(1)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
