"""Pure tensor maths: losses and importance scores. No files, no Trainer."""
