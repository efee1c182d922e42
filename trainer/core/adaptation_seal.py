"""How an adapted run is known: RUN/adaptation.json, and its SHA-256 in the metadata of the run's weights."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

FILE = "adaptation.json"
SEAL = "adaptation_sha256"


def is_adapted(run: Path, weights: str) -> bool:
    """Return whether a run was adapted, by RUN/`weights` or by RUN/adaptation.json; neither is checked."""
    return (run / FILE).is_file() or seal_of(run / weights) is not None


def seal_of(weights: Path) -> str | None:
    """Return the SHA-256 of adaptation.json that a file of weights states; None: not adapted, or no readable file."""
    try:
        with safe_open(weights, framework="pt") as file:
            return (file.metadata() or {}).get(SEAL)
    except (OSError, SafetensorError):
        return None
