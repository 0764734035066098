"""``python -m medfed.report.schema``: regenerate the JSON Schema files after a field was added."""

from medfed.report.schema import write_schemas

for path in write_schemas():
    print(f"wrote {path.name}")
