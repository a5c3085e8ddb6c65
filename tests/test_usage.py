import shlex

from compress.report.usage import usage


def test_a_folder_with_a_space_and_a_quote_stays_one_argument_and_one_text():
    folder = 'runs/my "own" run/final'
    lines = usage(folder)
    assert shlex.split(lines.texts) == ["compress", "predict", folder, "a text"]
    assert shlex.split(lines.file)[2:] == [folder, "--file", "rows.csv", "--out", "predictions.jsonl"]
    places: list[str] = []
    compress = type("Module", (), {"Classifier": lambda place: places.append(place) or str.upper})
    assert eval(lines.expression, {"compress": compress}) == "A TEXT"
    assert places == [folder]


def test_a_model_of_pairs_is_shown_pairs():
    lines = usage("final", pairs=True)
    assert lines.texts.endswith('"a text" --text-pair "its second text"')
    assert lines.expression.endswith('(("a text", "its second text"))')
    assert '[("a text", "its second text"), ("another", "and its second")]' in lines.code
