"""The JSON Schema of the summary. Oracles: the model itself, and the jsonschema package."""

import json
from typing import Any

import jsonschema
import pytest

from medfed.report.schema import SUMMARY_SCHEMA, summary_schema
from medfed.results import SCHEMA_VERSION


def test_file_and_model_agree():
    stored = json.loads(SUMMARY_SCHEMA.read_text(encoding="utf-8"))
    assert stored == summary_schema(), "run: python -m medfed.report.schema"


def test_a_summary_is_valid_and_a_wrong_one_is_not(build: Any):
    validator = jsonschema.Draft202012Validator(summary_schema())
    validator.check_schema(summary_schema())
    sample = build.summary().model_dump(mode="json")
    assert sample["schema_version"] == SCHEMA_VERSION == 1
    validator.validate(sample)
    for wrong in ({"schema_version": 2}, {"status": "FINE"}, {"seconds": "long"}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(sample | wrong)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({key: value for key, value in sample.items() if key != "schema_version"})
