"""Estimates against real tokenizers on texts of each class: learning makes them right, and the interval holds."""

import pytest

from benchmarks.corpus import corpus
from benchmarks.estimator import LESSONS, measure
from metering.estimates.content import CLASSES, DEFINITIONS, content_class


def share(cell, part):
    error, inside = cell.replace("(", "").replace(")", "").split()
    return float((error if part == "error" else inside).rstrip("%")) / 100


def test_the_corpus_has_texts_of_every_class_that_are_taken_for_it():
    assert set(corpus()) == {*CLASSES} - {DEFINITIONS}
    for name, texts in corpus().items():
        found = [content_class(text) for text in texts]
        assert len(texts) >= 24 and found.count(name) >= 0.85 * len(texts), (name, found)


@pytest.mark.parametrize("vocabulary", ["mistral_v3", "deepseek_v3"])
def test_what_calls_teach_makes_estimates_of_new_texts_right(vocabulary):
    before, after = measure(vocabulary, 0), measure(vocabulary, LESSONS)
    assert share(before["mixed"], "inside") >= 0.9  # wide, for lack of knowledge
    assert share(before["mixed"], "error") > 3 * share(after["mixed"], "error")
    assert share(after["mixed"], "error") < 0.05 and share(after["mixed"], "inside") >= 0.85
    for name in ("code", "data", "digits"):
        assert share(after[name], "error") < 0.03, (name, after[name])
