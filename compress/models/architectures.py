"""The table of known families of encoders: where each keeps its layers, heads and feed-forward neurons.

A new family is a new row of `ARCHITECTURES`. Families that are not in the table are refused, never guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from compress.errors import InputError

SHAPES_KEY = "compress_shapes"
"""Key of config.json for layer shapes that a model's own configuration cannot express."""


@dataclass(frozen=True)
class Architecture:
    """The names of the parts of one family's models. Paths are relative to the base model, or to a layer.

    Parts with the same path share one matrix, one below the other: query, key and value; up and gate.
    """

    layers: str
    """The list of layers in the base model."""
    query: str
    key: str
    value: str
    attention_output: str
    up: str
    """First feed-forward matrix, hidden -> neurons."""
    down: str
    """Second feed-forward matrix, neurons -> hidden."""
    layers_field: str = "num_hidden_layers"
    hidden_field: str = "hidden_size"
    heads_field: str = "num_attention_heads"
    intermediate_field: str = "intermediate_size"
    heads_attribute: str | None = "num_attention_heads"
    """Attribute of the attention module that repeats the number of heads."""
    gate: str | None = None
    """Matrix hidden -> neurons whose outputs multiply the neurons (Shazeer 2020, arXiv:2002.05202)."""
    attention_norm: str | None = None
    """The norm before attention, in families whose first layer has none."""
    kinds_field: str | None = None
    """Field of config.json with the list of each layer's kind of attention."""
    position_offset: int = 0
    """Rows of the position table that no token uses."""
    positions: tuple[str, ...] = ()
    """More matrices with an output for each channel of the heads, which read positions; not every model has them."""
    position_biases: str | None = None
    """A table that all layers share, with a column of biases for each head."""
    repeats: bool = False
    """Whether all layers are one, which runs again and again."""
    maps_embeddings: bool = False
    """Whether a matrix stands between embeddings and hidden states even where both have the same width."""
    fusion: str = "bert"
    """Name of the family in onnxruntime.transformers.optimizer."""

    @property
    def attention(self) -> str:
        """The module that holds the query matrix."""
        return self.query.rpartition(".")[0]

    @property
    def is_traced(self) -> bool:
        """Whether a dependency graph can follow what belongs to a head or a neuron."""
        return not (self.stack("query")[1:] or self.positions or self.position_biases or self.repeats)

    @property
    def neuron_parts(self) -> tuple[str, ...]:
        """Names of the parts with one output for each neuron."""
        return ("up",) if self.gate is None else ("up", "gate")

    def stack(self, part: str) -> tuple[str, ...]:
        """Names of the parts that share the matrix of `part`, in the order of their rows."""
        parts = ("query", "key", "value", "attention_output", *self.neuron_parts, "down")
        return tuple(name for name in parts if getattr(self, name) == getattr(self, part))


_BERT = Architecture(
    layers="encoder.layer",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    up="intermediate.dense",
    down="output.dense",
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": _BERT,
    "roberta": replace(_BERT, position_offset=2),
    "xlm-roberta": replace(_BERT, position_offset=2),
    "camembert": replace(_BERT, position_offset=2),
    "electra": _BERT,
    "distilbert": Architecture(
        layers="transformer.layer",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        up="ffn.lin1",
        down="ffn.lin2",
        layers_field="n_layers",
        hidden_field="dim",
        heads_field="n_heads",
        intermediate_field="hidden_dim",
        heads_attribute="n_heads",
    ),
    "modernbert": Architecture(
        layers="layers",
        query="attn.Wqkv",
        key="attn.Wqkv",
        value="attn.Wqkv",
        attention_output="attn.Wo",
        up="mlp.Wi",
        gate="mlp.Wi",
        down="mlp.Wo",
        heads_attribute=None,
        attention_norm="attn_norm",
        kinds_field="layer_types",
    ),
    "albert": Architecture(
        layers="encoder.albert_layer_groups.0.albert_layers",
        query="attention.query",
        key="attention.key",
        value="attention.value",
        attention_output="attention.dense",
        up="ffn",
        down="ffn_output",
        repeats=True,
        maps_embeddings=True,
    ),
    "mpnet": replace(
        _BERT,
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attention_output="attention.attn.o",
        position_offset=2,
        position_biases="encoder.relative_attention_bias",
    ),
    "deberta-v2": replace(
        _BERT,
        query="attention.self.query_proj",
        key="attention.self.key_proj",
        value="attention.self.value_proj",
        positions=("attention.self.pos_key_proj", "attention.self.pos_query_proj"),
    ),
}

ONE = ("num_hidden_groups", "inner_group_num")
"""Numbers of different layers of an ALBERT: all published ones have one layer, and others are not known here."""

POSITIONS_FIELDS = ("max_position_embeddings", "n_positions", "max_seq_len")
"""Names that families have for the number of rows of their table of positions."""
BY_DISTANCE = frozenset({"bloom", "funnel", "longt5", "mt5", "t5", "umt5", "xlnet"})
"""Families that use distances between tokens, and have no table of positions."""
DEBERTA = frozenset({"deberta", "deberta-v2"})
AFTER_PADDING = frozenset(
    {"data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm"}
    | {"roberta-prelayernorm", "xlm-roberta-xl", "xmod"}
)
"""Families outside of `ARCHITECTURES` whose first position is the padding's id plus one."""


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder, read from its config.json alone.

    Attributes:
        model_type: the family's name, as in config.json.
        layers: number of layers.
        hidden: width of the hidden states.
        head_size: channels of one head.
        heads: number of heads in each layer.
        neurons: number of feed-forward neurons in each layer.
        attention_norms: whether each layer has a norm before attention; empty if all layers of the family are alike.
        embedding_rank: width of the table of token embeddings, if it is factorized.
        ffn_rank: channels between the factors of each feed-forward matrix, if they are factorized.
        bias_columns: columns of the table of position biases, where heads do not use them one by one.
        bias_heads: for each layer the columns that its heads use, in that case.
    """

    model_type: str
    layers: int
    hidden: int
    head_size: int
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    attention_norms: tuple[bool, ...] = ()
    embedding_rank: int | None = None
    ffn_rank: int | None = None
    bias_columns: int | None = field(default=None, compare=False)  # a plan knows how many heads stay, not which
    bias_heads: tuple[tuple[int, ...], ...] = field(default=(), compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether the family's own configuration can express the sizes, so that any tool loads the model."""
        full_heads = self.head_size * self.heads[0] == self.hidden
        own_norms = self.attention_norms == _own_norms(ARCHITECTURES[self.model_type], self.layers)
        if any(own is not None for own in (self.embedding_rank, self.ffn_rank, self.bias_columns)):
            return False
        return full_heads and own_norms and len(set(self.heads)) == 1 and len(set(self.neurons)) == 1

    def with_layers(self, indices: tuple[int, ...]) -> "Shape":
        """The shape with only the layers at `indices`, counted from 0."""
        return replace(
            self,
            layers=len(indices),
            heads=tuple(self.heads[index] for index in indices),
            neurons=tuple(self.neurons[index] for index in indices),
            attention_norms=tuple(self.attention_norms[index] for index in indices if self.attention_norms),
            bias_heads=tuple(self.bias_heads[index] for index in indices if self.bias_heads),
        )


def _own_norms(architecture: Architecture, layers: int) -> tuple[bool, ...]:
    """`Shape.attention_norms` of an uncut model of the family."""
    return tuple(index > 0 for index in range(layers)) if architecture.attention_norm else ()


def evenly_spaced(count: int, total: int) -> tuple[int, ...]:
    """Indices of `count` of `total` layers, with the first and the last; for one layer, the first.

    Sanh et al. 2019 (arXiv:1910.01108), section 3, take one layer of two in the same spirit.
    """
    if count == 1:
        return (0,)
    return tuple(round(index * (total - 1) / (count - 1)) for index in range(count))


def read_shape(config: Mapping[str, Any]) -> Shape | None:
    """The sizes in a config.json, or None for a model whose layers are not known.

    Raises:
        InputError: config.json does not have all of them.
    """
    model_type = str(config.get("model_type", ""))
    architecture = ARCHITECTURES.get(model_type)
    if architecture is None or any(config.get(name, 1) != 1 for name in ONE):
        return None
    fields = size_fields(architecture)
    lacking = [name for name in fields if name not in config]
    if lacking:
        raise InputError(
            f"the model's config.json has no '{lacking[0]}', which a {model_type} model needs",
            fix="take the whole config.json that belongs to the weights",
        )
    layers, hidden, heads, neurons = (int(config[name]) for name in fields)
    own = config.get(SHAPES_KEY) or {}
    return Shape(
        model_type=model_type,
        layers=layers,
        hidden=hidden,
        head_size=hidden // heads,
        heads=tuple(own.get("heads", [heads] * layers)),
        neurons=tuple(own.get("neurons", [neurons] * layers)),
        attention_norms=tuple(own.get("attention_norms", _own_norms(architecture, layers))),
        embedding_rank=own.get("embedding_rank"),
        ffn_rank=own.get("ffn_rank"),
        bias_columns=own.get("bias_columns"),
        bias_heads=tuple(tuple(columns) for columns in own.get("bias_heads", ())),
    )


def size_fields(architecture: Architecture) -> tuple[str, str, str, str]:
    """Names of the fields with the numbers of layers, channels, heads and neurons."""
    return (
        architecture.layers_field,
        architecture.hidden_field,
        architecture.heads_field,
        architecture.intermediate_field,
    )


def write_shape(config: dict[str, Any], shape: Shape) -> None:
    """Write `shape` into the content of a config.json, in the family's own fields if they can express it."""
    architecture = ARCHITECTURES[shape.model_type]
    config[architecture.layers_field] = shape.layers
    config.pop(SHAPES_KEY, None)
    if shape.is_plain:
        config[architecture.intermediate_field] = shape.neurons[0]
    else:
        config[SHAPES_KEY] = {"heads": list(shape.heads), "neurons": list(shape.neurons)}
        if shape.attention_norms != _own_norms(architecture, shape.layers):
            config[SHAPES_KEY]["attention_norms"] = list(shape.attention_norms)
        ranks = {"embedding_rank": shape.embedding_rank, "ffn_rank": shape.ffn_rank}
        config[SHAPES_KEY] |= {name: rank for name, rank in ranks.items() if rank is not None}
        if shape.bias_columns is not None:
            columns = [list(heads) for heads in shape.bias_heads]
            config[SHAPES_KEY] |= {"bias_columns": shape.bias_columns, "bias_heads": columns}


def positions_of(config: Mapping[str, Any]) -> int | None:
    """The number of positions of a model, or None if config.json does not say it."""
    family = str(config.get("model_type"))
    if family in BY_DISTANCE or (family in DEBERTA and config.get("position_biased_input") is False):
        return None
    table = next((config[name] for name in POSITIONS_FIELDS if isinstance(config.get(name), int)), None)
    if table is None:
        return None
    if (architecture := ARCHITECTURES.get(family)) is not None:
        return int(table) - architecture.position_offset
    padding = config.get("pad_token_id")
    first = max(1, padding if isinstance(padding, int) else 1) + 1  # some use 1 whatever the padding's id is
    return int(table) - (first if family in AFTER_PADDING else 0)
