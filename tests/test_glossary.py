"""The glossary defines the terms of the documentation, and none that is not used."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text()
TERMS = re.findall(r"\*\*([^*]+)\*\*", GLOSSARY)
REQUIRED = """
likelihood ratio, log-likelihood ratio, nats, bans, evidence, denoising evidence, Gaussian evidence, noise level,
noise-to-signal ratio, level weights, bound, network pass, full evaluation, sequential scoring, disagreement rate, calibration,
Cllr, ECE, bias-corrected temperature scaling, isotonic regression, calibration augmentation, cross-fitting, prevalence, prior,
posterior, prediction set, miscoverage, abstention, risk, AURC, novelty p-value, evidence map, counterfactual, probability flow,
dequantization, bits per pixel, case table, cache, run folder, split, patient leak
"""


def test_required_terms_are_defined_once() -> None:
    required = {term.strip() for term in REQUIRED.replace("\n", " ").split(",")}
    assert required <= set(TERMS)
    assert len(TERMS) == len(set(TERMS))


@pytest.mark.parametrize("term", TERMS)
def test_terms_are_used_elsewhere(term: str) -> None:
    sources = [page for page in DOCS.rglob("*.md") if page.name != "glossary.md"]
    sources += (DOCS.parent / "src").rglob("*.py")
    words = term.removesuffix("s").lower().split()
    pattern = re.compile(r"[\s_]+".join(map(re.escape, words)))
    assert any(pattern.search(" ".join(source.read_text().lower().split())) for source in sources), term
