import pytest

from mmvq_run.judge import Judge, Rule, Rules, parse_rules

LABELS = ("a", "b")


def judged(rule, scores, hop=1.0, length=4.0, unknown=()):
    """Verdicts as (t, phase, label) over windows with these probabilities of `a`; `b` has the rest."""
    judge = Judge(Rules(rule), LABELS)
    told = []
    for i, p in enumerate(scores):
        told += judge.push(i * hop, i * hop + length, (p, 1 - p), i in unknown)
    return [(v.t, v.phase, v.label) for v in told + judge.flush()]


@pytest.mark.parametrize(
    ("why", "rule", "scores", "expected"),
    [
        ("starts at once without a least duration", Rule(0.6, 0.45, 0, 0), [0.7], [(4, "start", "a"), (4, "end", "a")]),
        ("below enter nothing starts", Rule(0.6, 0.45, 0, 0), [0.55, 0.5, 0.55], []),
        (
            "between leave and enter what runs goes on",
            Rule(0.6, 0.45, 0, 0), [0.7, 0.5, 0.46, 0.7], [(4, "start", "a"), (7, "end", "a")],
        ),
        (
            "below leave it ends, and the other one starts",
            Rule(0.6, 0.45, 0, 0), [0.7, 0.3],
            [(4, "start", "a"), (5, "end", "a"), (5, "start", "b"), (5, "end", "b")],
        ),
        (
            "openWakeWord's patience never fired: here it does, with the window that completes it",
            Rule(0.6, 0.45, 2, 0), [0.7, 0.7, 0.7], [(6, "start", "a"), (6, "end", "a")],
        ),
        ("a dip below enter starts the count anew", Rule(0.6, 0.45, 2, 0), [0.7, 0.7, 0.5, 0.7, 0.7], []),
        (
            "wyoming's trigger never re-armed: here it does, after the refractory time in the stream",
            Rule(0.6, 0.45, 0, 3), [0.7, 0.42, 0.7, 0.7, 0.7],
            [(4, "start", "a"), (5, "end", "a"), (8, "start", "a"), (8, "end", "a")],
        ),
    ],
)  # fmt: skip
def test_hysteresis(why, rule, scores, expected):
    assert judged(rule, scores) == expected, why


def test_an_unknown_window_speaks_for_nothing():
    rule = Rule(0.6, 0.45, 0, 0)
    assert judged(rule, [0.9, 0.9], unknown={0, 1}) == []
    assert judged(rule, [0.9, 0.9, 0.9], unknown={1})[:2] == [(4, "start", "a"), (5, "end", "a")]


def test_the_judge_knows_stream_time_only():
    """Refractory time on the wall clock made a fast replay differ: hops ten times as long change every decision."""
    rule = Rule(0.6, 0.45, 2, 0)
    assert judged(rule, [0.7, 0.7], hop=0.5) == []
    assert judged(rule, [0.7, 0.7], hop=2.0)[0] == (6, "start", "a")


def test_a_long_time_unseen_ends_what_went_on_where_it_was_last_seen():
    judge = Judge(Rules(Rule(0.6, 0.45, 0, 0)), LABELS)
    judge.push(0, 4, (0.9, 0.1), False)
    end, start = judge.push(60, 64, (0.9, 0.1), False)
    assert (end.t, end.phase, end.duration) == (4, "end", 4)
    assert (start.t, start.onset) == (64, 60)


def test_onset_is_the_middle_of_the_first_window_that_agreed_and_duration_counts_from_it():
    judge = Judge(Rules(Rule(0.6, 0.45, 1, 0)), LABELS)
    told = [v for i, p in enumerate([0.9, 0.9, 0.1, 0.1]) for v in judge.push(i, i + 4, (p, 1 - p), False)]
    first, ended, second = told
    assert (first.onset, ended.duration) == (0, 6)
    assert (second.label, second.t, second.onset) == ("b", 7, 4)


def test_an_activity_with_a_rule_of_its_own_is_judged_by_that_one():
    rules = Rules(Rule(0.6, 0.45, 0, 0), {"a": Rule(0.9, 0.8, 2, 0)})
    judge = Judge(rules, LABELS)
    told = [v for i, p in enumerate([0.85, 0.95, 0.95, 0.95, 0.7]) for v in judge.push(i, i + 4, (p, 1 - p), False)]
    assert [(v.t, v.phase, v.label) for v in told] == [(7, "start", "a"), (8, "end", "a")]


def test_of_two_activities_that_may_enter_the_likelier_one_does():
    rules = Rules(Rule(0.3, 0.2, 0, 0), {"b": Rule(0.7, 0.5, 0, 0)})
    assert [v.label for v in Judge(rules, LABELS).push(0, 4, (0.35, 0.65), False)] == ["a"]
    assert [v.label for v in Judge(rules, LABELS).push(0, 4, (0.3, 0.7), False)] == ["b"]


def test_rules_have_defaults_and_what_an_own_one_lacks_the_common_one_has():
    assert parse_rules({}, LABELS) == Rules()
    assert parse_rules({"enter": 0.8, "later": "ignored"}, LABELS).common.leave == pytest.approx(0.65)
    rules = parse_rules({"enter": 0.8, "refractory_s": 9, "activities": {"b": {"enter": 0.5}}}, LABELS)
    assert (rules.of("a").enter, rules.of("b").enter, rules.of("b").leave) == (0.8, 0.5, pytest.approx(0.35))
    assert rules.of("b").refractory_s == 9


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"enter": "high"}, "enter"),
        ({"enter": 1.5}, "enter"),
        ({"leave": True}, "leave"),
        ({"min_duration_s": float("inf")}, "min_duration_s"),
        ({"enter": 0.5, "leave": 0.7}, "leave 0.7 above enter 0.5"),
        ({"activities": ["a"]}, "activities that are no object"),
        ({"activities": {"c": {}}}, "'c', which is no activity"),
        ({"activities": {"a": 0.5}}, "rule for a that is no object"),
        ({"activities": {"a": {"enter": -1}}}, "judge for a has enter"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_meant_are_refused(judge, message):
    with pytest.raises(ValueError, match=message):
        parse_rules(judge, LABELS)
