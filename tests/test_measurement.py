"""What is kept of a measurement."""

import pytest
from pydantic import ValidationError

from compress.measurement import Measurement

KEPT = {"artifact": "a", "target": "cpu", "status": "measured", "predictions": [0, 1], "size_bytes": 5}


def test_measurements_of_earlier_versions_hold_a_score_and_are_read() -> None:
    found = Measurement.model_validate({**KEPT, "metric": "accuracy", "quality": 0.5})
    assert found == Measurement.model_validate(KEPT)


def test_nothing_else_is_taken_beside_what_a_measurement_holds() -> None:
    with pytest.raises(ValidationError, match="loss"):
        Measurement.model_validate({**KEPT, "loss": 0.5})
