from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import CORRECT, OVERRIDES, tally
from fuzzing.configs import ERRORS, SCHEMA, assert_fits, keys

WORDS = st.one_of(
    st.text(max_size=30),
    st.text("()[]{}'\",:0123456789eE.-+_ nNoOtTrRuU", max_size=40),
    st.sampled_from(keys(SCHEMA)),
    st.tuples(st.sampled_from(keys(SCHEMA)), st.text(max_size=10)).map("=".join),
)


def test_mutated_overrides(box):
    outcomes = tally(OVERRIDES, box, 500)
    assert outcomes[CORRECT] > 50 and outcomes["WrongTypeError"] > 100 and outcomes["UnknownKeyError"] > 50


@settings(max_examples=200, deadline=None)
@given(opts=st.lists(WORDS, max_size=6))
def test_any_words(opts):
    cfg = SCHEMA.clone()
    try:
        cfg.merge_from_list(opts)
    except ERRORS as error:
        assert type(error) in ERRORS and "command line" in str(error)
        assert cfg == SCHEMA
    assert_fits(cfg, SCHEMA)


@settings(max_examples=200, deadline=None)
@given(value=st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=20), st.none()))
def test_what_is_given_is_what_is_there(value):
    cfg = SCHEMA.clone()
    cfg.merge_from_list(["SOLVER.OPT_ARGS.x", repr(value)])
    found = cfg.SOLVER.OPT_ARGS.x
    assert type(found) is type(value) and found == value
