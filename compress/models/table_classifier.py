"""What the classifiers without a transformer have in common: a table of embeddings, and how they are called."""

import torch
from transformers.modeling_outputs import SequenceClassifierOutput


class TableModel:
    """A model whose input embeddings are its `table`; the tokens' rows stand first."""

    table: torch.nn.Embedding

    def get_input_embeddings(self) -> torch.nn.Embedding:
        """The table."""
        return self.table

    def set_input_embeddings(self, value: torch.nn.Embedding) -> None:
        """Replace the table."""
        self.table = value


class TableClassifier:
    """A classifier that is called as transformers' own are."""

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """The logits, (batch, classes); the inputs are (batch, tokens)."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """The logits, (batch, classes), and with `labels` (batch,) their loss; the inputs are (batch, tokens).

        Segments, which pipelines of transformers hand over, are left out of account.
        """
        del token_type_ids
        logits = self.logits(input_ids, attention_mask)
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
