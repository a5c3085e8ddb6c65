"""The small files of a final folder, changed to say how the model was measured and how it loads.

The artifact's own files cannot say this, because one export serves tasks of any length.
"""

from pathlib import Path

from compress.files.whole import file_sha256
from compress.formats import find
from compress.lineage.model import Lineage
from compress.models.expected_texts import expected_length
from compress.models.tokenizer import load_tokenizer
from compress.models.tokenizer_lengths import write_length


def adapt(folder: Path, lineage: Lineage) -> dict[str, str]:
    """Adapt the small files in a folder.

    Args:
        folder: a folder with copies of the artifact's files.
        lineage: the lineage of a run, which includes its data.

    Returns:
        SHA-256 of the files that were written, by name.
    """
    data = lineage.data
    assert data is not None
    has_rows = data.train_rows + data.test_rows > 0
    max_length = data.max_length if has_rows else expected_length(folder, load_tokenizer(folder).fast)
    names = [*write_length(folder, max_length)]
    names += find(lineage.final.format).adapt(folder)
    return {name: file_sha256(folder / name) for name in names}
