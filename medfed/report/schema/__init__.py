"""The JSON Schemas of ``summary.json``, ``sweep.json`` and an audit's ``report.json``, made from their models."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medfed.audit.results import AuditReport
from medfed.report.sweep_results import SweepResult
from medfed.results import Summary

SUMMARY_SCHEMA = Path(__file__).with_name("summary.schema.json")
SWEEP_SCHEMA = Path(__file__).with_name("sweep.schema.json")
AUDIT_SCHEMA = Path(__file__).with_name("audit.schema.json")


def summary_schema() -> dict[str, Any]:
    """The schema of ``summary.json`` as :class:`medfed.results.Summary` says it now."""
    return _schema(Summary)


def sweep_schema() -> dict[str, Any]:
    """The schema of ``sweep.json`` as :class:`medfed.report.sweep_results.SweepResult` says it now."""
    return _schema(SweepResult)


def audit_schema() -> dict[str, Any]:
    """The schema of ``audit/report.json`` as :class:`medfed.audit.results.AuditReport` says it now."""
    return _schema(AuditReport)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema 2020-12.

    Fields that were added later have defaults and stay optional, so that older files remain valid; only
    ``schema_version`` must be there although the model has a default for it.
    """
    schema = model.model_json_schema(mode="validation")
    schema["required"] = ["schema_version", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_schemas() -> list[Path]:
    """Bring the files beside this module up to date."""
    schemas = {SUMMARY_SCHEMA: summary_schema(), SWEEP_SCHEMA: sweep_schema(), AUDIT_SCHEMA: audit_schema()}
    for path, schema in schemas.items():
        path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
    return list(schemas)
