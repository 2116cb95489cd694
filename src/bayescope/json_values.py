"""Values as strict JSON holds them."""

import json
from typing import Any


def finite(record: dict[str, Any]) -> dict[str, Any]:
    """``record`` as valid JSON, with null for NaN and infinities."""
    content: dict[str, Any] = json.loads(json.dumps(record), parse_constant=lambda constant: None)
    return content
