"""The lines of code that load an artifact and run it, for its card."""

from pathlib import Path
from string import Template

from compress.extras import DISTRIBUTION
from compress.lineage.model import Data
from compress.models.architectures import SHAPES_KEY
from compress.models.config_file import read_config
from compress.models.files import model_path
from compress.models.tokenizer import load_tokenizer

_ONNX = Template("""\
import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(".")  # where this card is
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))  # it says where texts are cut, and what fills up
${splits}session = onnxruntime.InferenceSession(folder / "$graph", providers=["CPUExecutionProvider"])
labels = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})

rows = tokenizer.encode_batch($rows)
arrays = {
    "input_ids": [row.ids for row in rows],
    "attention_mask": [row.attention_mask for row in rows],
    "token_type_ids": [$segments for row in rows],
}
types = {item.name: item.type[7:-1] for item in session.get_inputs()}  # "int64" of "tensor(int64)"
inputs = {name: np.array(arrays[name], dtype=kind) for name, kind in types.items()}
logits = session.run(None, inputs)[0]
print([labels.get(str(best), int(best)) for best in logits.argmax(axis=-1)])
""")
_TORCH = Template("""\
from transformers import pipeline

folder = "."  # where this card is
classify = pipeline("$hub_task", model=folder, tokenizer=folder)
print(classify($rows, truncation=True))  # where tokenizer_config.json says
""")
_SHAPED = Template("""\
import compress
from transformers import AutoTokenizer, pipeline

folder = "."  # where this card is
model, tokenizer = compress.load(folder), AutoTokenizer.from_pretrained(folder)
classify = pipeline("$hub_task", model=model, tokenizer=tokenizer)
print(classify($rows, truncation=True))  # where tokenizer_config.json says
""")


SPLITS = "tokenizer.encode_special_tokens = True  # their names in a text are plain text\n"


def needs_compress(folder: Path) -> bool:
    """True if a torch model has shapes that plain `from_pretrained` cannot load."""
    return SHAPES_KEY in read_config(folder)


def snippet(form: str, data: Data, folder: Path) -> tuple[list[str], str]:
    """The packages that are needed, and code that runs from within a final folder, whose tokenizer says all of lengths.

    Args:
        form: the artifact's format: onnx, torch or torch_bnb.

    Raises:
        InputError: the folder has no config.json or no tokenizer.
    """
    pairs = "text_pair" in data.columns
    if form == "onnx":
        packages, code = ["onnxruntime", "tokenizers", "numpy"], _ONNX
        rows = '[("a text", "its second text"), ("another", "and its second")]' if pairs else '["a text", "another"]'
    else:
        own = needs_compress(folder)
        packages, code = [*([DISTRIBUTION] if own else []), "torch", "transformers"], _SHAPED if own else _TORCH
        packages += ["bitsandbytes", "accelerate"] if form == "torch_bnb" else []
        rows = '[{"text": "a text", "text_pair": "its second text"}]' if pairs else '["a text", "another"]'
    settings = load_tokenizer(folder).settings
    return packages, code.substitute(
        hub_task=data.hub_task,
        rows=rows,
        graph=model_path(folder).relative_to(folder).as_posix() if form == "onnx" else "",
        splits=SPLITS if settings.splits_special_tokens else "",
        segments="row.type_ids" if settings.tells_segments else "[0] * len(row.ids)",
    )
