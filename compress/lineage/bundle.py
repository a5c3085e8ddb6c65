"""The section of a card on several graphs in `onnx/`, and on loading them with transformers.js and optimum."""

from pathlib import Path
from string import Template

from compress.facts import Bundle, BundledGraph
from compress.lineage.model import Data
from compress.models.tokenizer import load_tokenizer
from compress.report.markdown import plain

_JS = Template("""\
import { AutoModelForSequenceClassification, AutoTokenizer, Tensor } from "@huggingface/transformers";

const folder = "NAME"; // on the hub, or below env.localModelPath
const tokenizer = await AutoTokenizer.from_pretrained(folder);
const model = await AutoModelForSequenceClassification.from_pretrained(folder, { dtype: "$dtype" });

async function classify(text) {
  const ids = tokenizer.encode(text);
  ids.splice($place, ids.length - $max_length); // truncation: true would cut special tokens off too
  const tensor = (value) => new Tensor("int64", BigInt64Array.from(ids, value), [1, ids.length]);
  const inputs = { input_ids: tensor(BigInt), attention_mask: tensor(() => 1n), token_type_ids: tensor(() => 0n) };
  const { logits } = await model(inputs);
  return model.config.id2label[logits.data.indexOf(Math.max(...logits.data))];
}

console.log(await classify("a text"));
""")
_OPTIMUM = Template("""\
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline

folder = "."  # where this card is
model = ORTModelForSequenceClassification.from_pretrained(folder, subfolder="onnx", file_name="$file")
classify = pipeline("$hub_task", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
print(classify($rows, truncation=True))
""")


def bundle_section(bundle: Bundle, data: Data, folder: Path) -> list[str]:
    """The section as lines of Markdown.

    Args:
        folder: the final folder, whose tokenizer says where texts are cut.
    """
    main = bundle.formats[bundle.main]
    lines = [
        "## In transformers.js and optimum",
        "",
        "| | file | MB | transformers.js calls it | keep their best class |",
        "| --- | --- | ---: | --- | ---: |",
        *[_row(name, item, is_main=item is main) for name, item in bundle.formats.items()],
        "",
        "The last column: held-back rows on which it answers as the float graph does.",
        *[f"Left out: {plain(name)}, since {plain(reason)}." for name, reason in bundle.left_out.items()],
    ]
    return [*lines, "", *_optimum(Path(main.file).name, data), "", *_javascript(main.dtype, data, folder)]


def _row(name: str, item: BundledGraph, *, is_main: bool) -> str:
    agreement = f"{item.parity.agreement:.1%} of {item.parity.rows:,}" if item.parity else ""
    label = f"{name} (the one measured)" if is_main else name
    return f"| {label} | `{item.file}` | {item.size_bytes / 1e6:.2f} | `{item.dtype}` | {agreement} |"


def _optimum(file: str, data: Data) -> list[str]:
    rows = '[{"text": "a text", "text_pair": "its second text"}]' if "text_pair" in data.columns else '["a text"]'
    return ["```python", _OPTIMUM.substitute(file=file, hub_task=data.hub_task, rows=rows).rstrip(), "```"]


def _javascript(dtype: str, data: Data, folder: Path) -> list[str]:
    if "text_pair" in data.columns:
        return ["transformers.js cuts a pair that is too long at its end alone, so answers of long pairs may differ."]
    tokenizer = load_tokenizer(folder)
    max_length = (tokenizer.fast.truncation or {}).get("max_length", data.max_length)
    special = tokenizer.fast.encode("a").special_tokens_mask
    first = next((place for place, is_special in enumerate(special) if not is_special), len(special))
    last = next((place for place, is_special in enumerate(reversed(special)) if not is_special), len(special))
    place = first if tokenizer.settings.cut_side == "left" else max_length - last
    return ["```js", _JS.substitute(dtype=dtype, place=place, max_length=max_length).rstrip(), "```"]
