"""Models that are fitted without gradient steps: what `compress.baselines` and the stage `fit_linear` are made of."""
