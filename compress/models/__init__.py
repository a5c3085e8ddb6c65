"""Load, save, reshape and take apart models. The one home of "what shape is this architecture"."""
