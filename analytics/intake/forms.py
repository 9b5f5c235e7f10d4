"""TOML files a user writes (mapping, delivery note, corrections), read into their form with every problem at once."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from analytics.intake.gate import Refused
from analytics.reference import Form, load_toml, problems

Read = TypeVar("Read", bound=Form)


def read_form(form: type[Read], path: Path, code: str) -> Read:
    """Read a file of this form. Raises Refused, every line ending in `[code]`."""
    try:
        return form.model_validate(load_toml(path))
    except ValidationError as error:
        lines = problems(error, path.name)
    except (ValueError, OSError) as error:
        lines = [f"{path.name}: {error}"]
    raise Refused([f"{line} [{code}]" for line in lines])
