import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import SpecError
from latency_tables.spec import OpSpec, Value

LETTERS = "".join(chr(code) for code in range(128) if chr(code).isalnum()) + "_."
NAMES = st.builds(str.__add__, st.sampled_from("aZ_"), st.text(LETTERS, max_size=8))
WORDS = st.text(LETTERS + "-", min_size=1).filter(lambda text: not re.fullmatch("-?[0-9]+", text))
INTEGERS = st.integers(-(10**18) + 1, 10**18 - 1)
SPECS = st.builds(
    lambda kind, shape, params, dtype: OpSpec(kind, tuple(shape), tuple(sorted(params.items())), dtype),
    kind=NAMES,
    shape=st.lists(st.integers(1, 1 << 20), min_size=1, max_size=8),
    params=st.dictionaries(NAMES.filter(lambda name: name != "inputs"), INTEGERS | WORDS, max_size=3),
    dtype=st.sampled_from(["float32", "float16", "int8"]),
)


@given(SPECS)
def test_the_text_of_a_spec_reads_back_as_that_spec(spec: OpSpec) -> None:
    assert OpSpec.parse(str(spec)) == spec


@given(SPECS, st.data())
def test_a_changed_text_is_refused_or_is_the_text_of_another_spec(spec: OpSpec, data: st.DataObject) -> None:
    text = str(spec)
    position = data.draw(st.integers(0, len(text) - 1))
    changed = text[:position] + data.draw(st.sampled_from("0x;=,].[-a\n")) + text[position + 1 :]
    try:
        parsed = OpSpec.parse(changed)
    except SpecError:
        return
    assert str(parsed) == changed


@given(st.text())
def test_no_text_makes_the_parser_raise_anything_but_its_own_error(text: str) -> None:
    with pytest.raises(SpecError):
        OpSpec.parse(text)


def test_a_spec_reads_as_kind_shape_parameters_and_dtype() -> None:
    spec = OpSpec.of("sep_conv", (1, 16, 32, 32), stride=2, kernel=3, mode="same")
    assert str(spec) == "sep_conv[1x16x32x32;kernel=3,mode=same,stride=2;float32]"
    assert str(OpSpec("skip", (1, 16, 8, 8), dtype="int8")) == "skip[1x16x8x8;int8]"


@pytest.mark.parametrize(
    "text",
    [
        "conv[01x3;float32]",
        "conv[1x3;;float32]",
        "conv[1xx3;float32]",
        "conv[x;float32]",
        "conv[1x3;a=007;float32]",
        "conv[1x3;a=-0;float32]",
        "conv[1x3;a;float32]",
        "conv[1x3;b=1,a=1;float32]",
        "conv[1x3;a=1,a=2;float32]",
        "conv[1x3;a=1,;float32]",
        "conv[1x3;float64]",
        "conv[1x3;float32]\n",
        "conv[1x0;float32]",
        "conv[1x9999999999;float32]",
        "conv[1x1x1x1x1x1x1x1x1;float32]",
        "1conv[1x3;float32]",
        "conv[1x3;a=" + "9" * 19 + ";float32]",
        "conv[" + "1" * 2000 + ";float32]",
        "",
    ],
)
def test_a_text_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        OpSpec.parse(text)


@pytest.mark.parametrize("value", [True, "7", "-7", "007", "", "a b", "a;b", "a]", "\n", 10**18, "x" * 129])
def test_a_value_that_would_not_read_back_as_itself_is_refused(value: Value) -> None:
    with pytest.raises(SpecError, match="out of bounds"):
        OpSpec.of("conv", (1, 3), value=value)


def test_parameters_too_many_to_be_parsed_are_refused() -> None:
    with pytest.raises(SpecError, match="longer than 1024"):
        OpSpec.of("conv", (1, 3), **{f"name{i}": "x" * 100 for i in range(10)})


def test_parameters_out_of_order_are_refused() -> None:
    with pytest.raises(SpecError, match="not sorted"):
        OpSpec("conv", (1, 3), (("b", 1), ("a", 1)))


def test_an_operation_of_several_inputs_has_their_shapes() -> None:
    assert OpSpec.of("add", (1, 8), inputs=3).input_shapes == ((1, 8), (1, 8), (1, 8))
    assert OpSpec("relu", (1, 8)).input_shapes == ((1, 8),)


@pytest.mark.parametrize("inputs", [0, -1, 10**9, "two"])
def test_a_number_of_inputs_out_of_bounds_is_refused(inputs: Value) -> None:
    with pytest.raises(SpecError, match="inputs"):
        OpSpec.of("add", (1, 8), inputs=inputs)


def test_an_integer_parameter_is_asked_for_by_name() -> None:
    spec = OpSpec.of("conv", (1, 8), kernel=3, mode="same")
    assert spec.integer("kernel") == 3
    assert spec.integer("stride", 1) == 1
    for name in ("stride", "mode"):
        with pytest.raises(SpecError, match=f"no integer parameter '{name}'"):
            spec.integer(name)
