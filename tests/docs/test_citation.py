import re
import tomllib

import pytest
import yaml

import xreid_plugin
from tests.docs.markdown import CHECKOUT

# Of the schema of version 1.2.0: what must be there, and what may be there of what this project uses.
REQUIRED = {"cff-version", "message", "title", "authors"}
ALLOWED = REQUIRED | {"type", "version", "license", "abstract", "keywords", "references"}
REFERENCE_REQUIRED = {"type", "title", "authors"}
REFERENCE_ALLOWED = REFERENCE_REQUIRED | {"collection-title", "conference", "year", "identifiers", "repository-code"}
PERSON = {"given-names", "family-names"}


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))


def test_it_has_the_fields_of_the_citation_file_format_and_no_others(citation):
    assert citation.keys() >= REQUIRED
    assert citation.keys() <= ALLOWED
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    for author in citation["authors"]:
        assert author.keys() in ({"name"}, PERSON)
        assert all(isinstance(value, str) and value for value in author.values())


def test_version_and_license_are_those_of_the_package(citation):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(citation["version"]) == project["version"] == xreid_plugin.__version__
    assert citation["license"] == project["license"]


def test_the_paper_is_the_one_that_the_method_page_names(citation):
    (paper,) = citation["references"]
    assert REFERENCE_REQUIRED <= paper.keys() <= REFERENCE_ALLOWED
    assert paper["type"] == "conference-paper"
    assert set(paper["conference"]) == {"name"}
    assert [set(author) for author in paper["authors"]] == [PERSON] * len(paper["authors"])
    page = " ".join((CHECKOUT / "projects/XReID/README.md").read_text(encoding="utf-8").split())
    assert paper["title"].strip() in page
    names = ", ".join(author["family-names"] for author in paper["authors"])
    assert f"({names}:" in page
    (identifier,) = paper["identifiers"]
    assert identifier["type"] in ("doi", "url", "swh", "other")
    assert re.search(r"arXiv[: ](\d{4}\.\d{5})", page)[1] == identifier["value"].removeprefix("arXiv:")
    assert re.search(r"AAAI (\d{4})", page)[1] == str(paper["year"])
