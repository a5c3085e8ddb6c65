"""The one training loop, shared by finetune, distill and the recovery after pruning."""
