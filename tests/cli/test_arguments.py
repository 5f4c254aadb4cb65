from sparse_s4r.cli.arguments import repeat_options


def test_further_values_get_the_option_of_the_first() -> None:
    given = ["train", "--scenes", "a", "b", "--out", "run", "--set", "x=1", "y=2", "z=3", "--resume"]
    expected = "train --scenes a --scenes b --out run --set x=1 --set y=2 --set z=3 --resume"
    assert repeat_options(given, ("--scenes", "--set")) == expected.split()


def test_repeated_options_and_other_arguments_stay() -> None:
    given = ["render", "prediction", "--like", "scene", "--frames", "a", "--frames", "b"]
    assert repeat_options(given, ("--frames",)) == given
    assert repeat_options(["predict", "scene", "more"], ()) == ["predict", "scene", "more"]
