"""The JSON Schema of ``summary.json``, made from :class:`medfed.results.Summary`: the interface for other programs."""

import json
from pathlib import Path
from typing import Any

from medfed.results import Summary

SUMMARY_SCHEMA = Path(__file__).with_name("summary.schema.json")


def summary_schema() -> dict[str, Any]:
    """The schema as the model says it now (JSON Schema 2020-12).

    Fields that were added later have defaults and stay optional, so that older files remain valid; only
    ``schema_version`` must be there although the model has a default for it.
    """
    schema = Summary.model_json_schema(mode="validation")
    schema["required"] = ["schema_version", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_schemas() -> list[Path]:
    """Bring the files beside this module up to date."""
    SUMMARY_SCHEMA.write_text(json.dumps(summary_schema(), indent=2) + "\n", encoding="utf-8")
    return [SUMMARY_SCHEMA]
