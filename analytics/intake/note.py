"""The delivery note: what its sender says was sent. Checked when it comes along; its absence is recorded."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

from analytics.intake.forms import read_form
from analytics.intake.gate import Refused, Source
from analytics.reference import Form


class NotedFile(Form):
    """One file of the delivery: `rows` and `sha256` are checked where they are given."""

    name: str
    sha256: str = ""
    rows: int | None = None


class Note(Form):
    """[[file]] name, sha256, rows; `fee_total_yuan`: control total of the fee; `jurisdiction`: six-digit city codes whose
    insured the files may hold; `money_unit`: yuan or fen; `sender`, `remark`: free text.
    """

    file: tuple[NotedFile, ...] = ()
    fee_total_yuan: Decimal | None = None
    jurisdiction: tuple[str, ...] = ()
    money_unit: Literal["yuan", "fen"] = "yuan"
    sender: str = ""
    remark: str = ""

    def check(self, name: str, sources: Sequence[Source]) -> None:
        """Raises Refused when the files are not those of the note."""
        came = {source.path.name: source for source in sources}
        said = {file.name: file for file in self.file}
        found = [
            f"{file}: is in the note {name} but did not come; deliver it too"
            for file in said
            if file not in came
        ]
        if said:
            found += [
                f"{file}: came but is not in the note {name}; add it there or leave it out"
                for file in came
                if file not in said
            ]
        for file in (said[f] for f in said if f in came):
            source = came[file.name]
            if file.sha256 and file.sha256.lower() != source.sha256:
                found.append(
                    f"{file.name}: its sha256 is not the one in the note {name}; it was changed on the way, fetch it again"
                )
            if file.rows is not None and file.rows != source.rows:
                found.append(
                    f"{file.name}: has {source.rows} rows, the note {name} says {file.rows}; fetch it again"
                )
        if found:
            raise Refused([f"{line} [note]" for line in found])


def load_note(path: Path) -> Note:
    """Read a delivery note. Raises Refused with every problem."""
    return read_form(Note, path, "note")
