"""Cohorts are read from ATLAS's JSON or written step by step, and are the same Circe either way."""

import json

import pytest

import atoll
from atoll_schemas.circe import CohortExpression
from tests.support.cleared import ANY_CONDITION
from tests.support.shared_data import shared

COLON = atoll.Cohort.of(condition=4180790)


def test_a_file_a_text_and_a_mapping_give_the_same_cohort(tmp_path):
    path = tmp_path / "colon.json"
    path.write_text(json.dumps(ANY_CONDITION))
    read = [atoll.Cohort.from_circe(source) for source in (path, str(path), path.read_text(), ANY_CONDITION)]
    assert len({cohort.digest() for cohort in read}) == 1


def test_what_the_sdk_writes_it_reads_again(tmp_path):
    cohort = COLON.where("adults", age=(18, None)).without("prior cancer", condition=[443392])
    assert atoll.Cohort.from_circe(cohort.save(tmp_path / "cohort.json")) == cohort
    assert atoll.Cohort.from_circe(cohort.to_json()) == cohort


def test_rules_keep_their_names_and_order():
    cohort = COLON.where("adults", age=(18, 80)).where("women", sex="female")
    assert [rule.name for rule in cohort.expression.inclusion_rules] == ["adults", "women"]
    assert "adults · women" in repr(cohort)


def test_each_rule_has_its_own_concept_set():
    cohort = COLON.where("treated", drug=[1, 2], days=(0, 30)).without("relapsed", condition=3)
    sets = cohort.expression.concept_sets
    assert [it.id for it in sets] == [0, 1, 2]
    assert [item.concept.concept_id for item in sets[1].expression.items] == [1, 2]


def test_days_become_a_window_around_the_index_date():
    cohort = COLON.where("treated", drug=1, days=(-7, 30))
    window = cohort.expression.inclusion_rules[0].expression.criteria_list[0].start_window
    assert (window.start.days, window.start.coeff, window.end.days, window.end.coeff) == (7, -1, 30, 1)


def test_open_days_reach_to_the_ends_of_observation():
    cohort = COLON.where("ever", drug=1, days=(None, None))
    window = cohort.expression.inclusion_rules[0].expression.criteria_list[0].start_window
    assert (window.start.days, window.start.coeff, window.end.days, window.end.coeff) == (None, -1, None, 1)


def test_without_asks_for_exactly_none():
    cohort = COLON.without("relapsed", condition=3)
    occurrence = cohort.expression.inclusion_rules[0].expression.criteria_list[0].occurrence
    assert (occurrence.type, occurrence.count) == (0, 0)


@pytest.mark.parametrize("ends, operator", [((18, None), "gte"), ((None, 80), "lte"), ((18, 80), "bt")])
def test_ages_become_ranges_with_both_ends_included(ends, operator):
    facts = COLON.where("age", age=ends).expression.inclusion_rules[0].expression.demographic_criteria_list[0]
    assert facts.age.op == operator


def test_a_value_may_be_bounded():
    cohort = COLON.where("anaemic", measurement=3000963, number=(None, 10.0), days=(-30, 0))
    criteria = cohort.expression.inclusion_rules[0].expression.criteria_list[0].criteria
    assert criteria.domain == "measurement"
    assert criteria.body.value_as_number.value == 10.0


def test_source_codes_serve_sites_without_vocabularies():
    cohort = atoll.Cohort.of(condition=atoll.code("ICD10", "C18.9"))
    assert cohort.expression.concept_sets[0].source_codes == (atoll.code("ICD10", "C18.9"),)


def test_a_cohort_may_end_after_some_days():
    assert COLON.ends(days=365).expression.end_strategy.date_offset.offset == 365


def test_every_step_makes_a_new_cohort():
    COLON.where("adults", age=(18, None))
    assert COLON.expression.inclusion_rules == ()


@pytest.mark.parametrize(
    "build, code",
    [
        (lambda: atoll.Cohort.of(), "cohort.domain"),
        (lambda: atoll.Cohort.of(condition=1, drug=2), "cohort.domain"),
        (lambda: atoll.Cohort.of(illness=1), "cohort.domain"),
        (lambda: atoll.Cohort.of(condition=[]), "cohort.codes"),
        (lambda: atoll.Cohort.of(condition="C18.9"), "cohort.codes"),
        (lambda: COLON.where("nothing"), "cohort.rule"),
        (lambda: COLON.where("sex", sex="x"), "cohort.sex"),
        (lambda: COLON.where("age", age=(None, None)), "cohort.range"),
        (lambda: atoll.Cohort.from_circe("no/such/file.json"), "cohort.file"),
        (lambda: atoll.Cohort.from_circe("{not json"), "cohort.invalid"),
        (lambda: atoll.Cohort.from_circe({**ANY_CONDITION, "Surprise": 1}), "cohort.invalid"),
    ],
)
def test_what_is_wrong_is_named_by_a_code(build, code):
    with pytest.raises(atoll.Invalid) as caught:
        build()
    assert caught.value.code == code


def test_an_error_names_the_json_path():
    broken = {**ANY_CONDITION, "QualifiedLimit": {"Type": "Sometimes"}}
    with pytest.raises(atoll.Invalid, match=r"\$\.QualifiedLimit\.Type"):
        atoll.Cohort.from_circe(broken)


def read_or_refused(path):
    try:
        return atoll.Cohort.from_circe(path)
    except atoll.Invalid as error:
        return error


def test_phenotypes_of_the_library_are_read_or_refused_by_path():
    outcomes = [read_or_refused(path) for path in sorted(shared("circe/definitions").glob("*.json"))[:60]]
    read = [it for it in outcomes if isinstance(it, atoll.Cohort)]
    assert read
    assert all(CohortExpression.from_wire(it.to_circe()) == it.expression for it in read)
    assert all(it.message.startswith("$") for it in outcomes if isinstance(it, atoll.Invalid))


@pytest.mark.parametrize("as_text", [False, True])
def test_a_definition_of_webapi_is_unwrapped(as_text):
    plain = atoll.Cohort.of(condition=7)
    inner = {key: value for key, value in plain.to_circe().items() if key != "Title"}
    wrapped = {
        "id": 12,
        "name": "Colon cancer",
        "expressionType": "SIMPLE_EXPRESSION",
        "expression": json.dumps(inner) if as_text else inner,
    }
    read = atoll.Cohort.from_circe(wrapped)
    assert read == plain
    assert read.expression.title == "Colon cancer"


def test_an_object_that_is_no_definition_is_refused_by_its_path():
    with pytest.raises(atoll.Invalid, match="expression"):
        atoll.Cohort.from_circe({"expression": 3})
