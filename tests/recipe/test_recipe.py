from pathlib import Path

import pytest
from pydantic import ValidationError

from compress.errors import InputError
from compress.formats import runs
from compress.recipe.validation import Origin
from compress.recipe.yaml_file import MAX_BYTES, load_recipe, parse_yaml
from tests.waiting import at_once

RECIPE = """\
name: tiny
seed: 7
task:
  train: train.csv
  columns: {text: review, label: stars}
steps:
  - name: teacher
    stage: finetune
    epochs: 2
  - {name: pruned, stage: prune_structured, ffn: 0.5, recover: {epochs: 1}}
targets:
  cpu: {threads: 1}
goal: {max_drop_pp: 1.5}
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text, *overrides):
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_recipe(path, overrides)

    return load_text


@pytest.fixture
def refused(load, tmp_path):
    """The InputError of a recipe; its `where` without the folder."""

    def refuse(text, *overrides):
        with pytest.raises(InputError) as caught:
            load(text, *overrides)
        error = caught.value
        error.where = error.where.removeprefix(f"{tmp_path}/")
        assert error.fix
        return error

    return refuse


def test_a_valid_recipe_keeps_what_is_written_and_fills_in_the_rest(load):
    recipe, origin = load(RECIPE)
    assert (recipe.name, recipe.seed, recipe.device) == ("tiny", 7, "auto")
    assert recipe.task.columns == {"text": "review", "label": "stars"}
    assert [step.name for step in recipe.steps] == ["teacher", "pruned"]
    assert recipe.steps[1].settings == {"ffn": 0.5, "recover": {"epochs": 1}}
    assert (recipe.targets["cpu"].threads, recipe.targets["cpu"].batch_size) == (1, 1)
    assert (recipe.bench.warmup, recipe.task.max_length) == (10, 128)
    assert origin.folder.is_dir()


def test_a_recipe_cannot_be_changed(load):
    recipe, _ = load(RECIPE)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 8


def test_the_line_of_every_key_is_known(load):
    _, origin = load(RECIPE)
    lines = {
        ("seed",): 2,
        ("task", "columns", "label"): 5,
        ("steps",): 6,
        ("steps", 0): 7,
        ("steps", 0, "epochs"): 9,
        ("steps", 1, "recover", "epochs"): 10,
        ("targets", "cpu", "threads"): 12,
    }
    assert {keys: origin.lines[keys] for keys in lines} == lines
    assert origin.where("steps", 0, "epochs").endswith("recipe.yaml:9")


def test_a_key_that_is_not_written_is_placed_at_its_parent(load):
    _, origin = load(RECIPE)
    assert origin.where("steps", 0, "learning_rate").endswith("recipe.yaml:7")
    assert origin.where("bench", "rounds").endswith("recipe.yaml")
    assert Origin().where("steps", 0) == "the command line"


@pytest.mark.parametrize(
    ("old", "new", "what", "line", "fix"),
    [
        ("goal:", "gaol:", "unknown key 'gaol'", 13, "did you mean 'goal'?"),
        ("  train:", "  tran:", "unknown key 'task.tran'", 4, "did you mean 'train'?"),
        ("{threads:", "{thread:", "unknown key 'targets.cpu.thread'", 12, "did you mean 'threads'?"),
        ("max_drop_pp", "max_drop", "unknown key 'goal.max_drop'", 13, "did you mean 'max_drop_pp'?"),
        ("seed: 7", "seed: -1", "'seed' is -1: input should be greater than or equal to 0", 2, "correct"),
        ("seed: 7", "seed: soon", "'seed' is 'soon': a whole number is needed", 2, "correct"),
        ("name: tiny", "name: a/b", "'name' is 'a/b': string should match pattern", 1, "correct"),
        ("name: pruned", "name: te acher", "'steps.1.name' is 'te acher'", 10, "correct"),
        ("threads: 1", "threads: 0", "'targets.cpu.threads' is 0", 12, "correct"),
        ("stage: finetune", "extra: 1", "the key 'steps.0.stage' is missing", 7, "add 'stage:'"),
        ("1.5", ".nan", "'goal.max_drop_pp' is nan: a finite number is needed", 13, "correct"),
        (
            "label: stars",
            "label: on",
            "'task.columns.label' is True: text is needed",
            5,
            'in quotes if it is a name: "1"',
        ),
        (
            "text: review",
            "text: 1",
            "'task.columns.text' is 1: text is needed",
            5,
            'put it in quotes if it is a name: "1"',
        ),
        (
            "label: stars",
            "label: null",
            "'task.columns.label' is empty: text is needed",
            5,
            "there, or put",
        ),
        ("1.5", "-.inf", "'goal.max_drop_pp' is -inf: a finite number is needed", 13, "correct"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_its_line(refused, old, new, what, line, fix):
    error = refused(RECIPE.replace(old, new, 1))
    assert what in error.what
    assert error.where == f"recipe.yaml:{line}"
    assert fix in error.fix


def test_a_missing_key_at_the_top_is_told_with_the_file(refused):
    error = refused("name: tiny\nsteps: [{name: a, stage: finetune}]\n")
    assert (error.what, error.where) == ("in the recipe: the key 'task' is missing", "recipe.yaml")
    assert error.fix == "add 'task:'"


def test_all_errors_are_told_at_once_each_with_its_line(refused):
    error = refused(RECIPE.replace("seed: 7", "sed: 7").replace("threads", "thread"))
    first, others = error.what.split("; also: ")
    assert first == "in the recipe: unknown key 'targets.cpu.thread'"
    assert error.where == "recipe.yaml:12"
    assert others.startswith("unknown key 'sed' (")
    assert others.endswith("recipe.yaml:2)")


def test_many_errors_are_counted_not_listed(refused):
    wrong = "".join(f"wrong{number}: 1\n" for number in range(7))
    assert refused(RECIPE + wrong).what.count("unknown key") == 4
    assert "and 3 more" in refused(RECIPE + wrong).what


def test_a_test_file_and_a_test_fraction_exclude_each_other(refused):
    error = refused(RECIPE.replace("task:\n", "task:\n  test: a.csv\n  test_fraction: 0.2\n"))
    assert "give 'test' or 'test_fraction', not both" in error.what
    assert error.where == "recipe.yaml:3"


@pytest.mark.parametrize("name", ["seed", "task", "steps", "targets"])
def test_a_step_may_not_have_the_name_of_a_key(refused, name):
    error = refused(RECIPE.replace("name: pruned", f"name: {name}"))
    assert f"a step may not be named '{name}': the recipe has a key of that name" in error.what
    assert error.where == "recipe.yaml:6"


@pytest.mark.parametrize("name", ["store", "Store", "CON", "nul.txt", "com1", "tiny.", "..", "a\u2028b"])
def test_a_run_may_not_have_a_name_that_is_anothers_folder(refused, name):
    error = refused(RECIPE.replace("name: tiny", f'name: "{name}"'))
    assert error.what.startswith("in the recipe: 'name' is ")
    assert error.where.endswith(":1")


@pytest.mark.parametrize("name", ["stores", "store-1", "console", "nul1", "com", "tiny.v1", "com10"])
def test_other_names_are_free(load, name):
    assert load(RECIPE.replace("name: tiny", f"name: {name}"))[0].name == name


def test_two_steps_may_not_have_one_name_to_some_file_systems(refused):
    error = refused(RECIPE.replace("name: pruned", "name: Teacher"))
    assert "two steps are named 'teacher' and 'Teacher'" in error.what


def test_a_step_may_not_be_a_device(refused):
    assert "a device on Windows has that name" in refused(RECIPE.replace("name: pruned", "name: Aux")).what


def test_two_steps_may_not_share_a_name(refused):
    error = refused(RECIPE.replace("name: pruned", "name: teacher"))
    assert "two steps are named 'teacher'" in error.what
    assert error.where == "recipe.yaml:6"


def test_a_recipe_has_at_least_one_step(refused):
    error = refused("name: a\ntask: {}\nsteps: []\n")
    assert error.what == "in the recipe: 'steps': at least one is needed"
    assert error.where == "recipe.yaml:3"


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("", "the recipe is empty", "recipe.yaml"),
        ("# nothing but a comment\n", "the recipe is empty", "recipe.yaml"),
        ("- a\n- b\n", "a recipe is a mapping", "recipe.yaml"),
        ("a line of text", "a recipe is a mapping", "recipe.yaml"),
        (b"name: caf\xe9\n", "the recipe is not UTF-8 text", "recipe.yaml"),
        (b"\xff\xfen\x00a\x00", "the recipe is not UTF-8 text", "recipe.yaml"),
        ("a: 1\nb: [1,\n", "cannot read the YAML", "recipe.yaml:3"),
        ("a: 1\n\tb: 2\n", "cannot read the YAML", "recipe.yaml:2"),
        ("a: 1\n---\nb: 2\n", "cannot read the YAML", "recipe.yaml:2"),
        ("a: 1\nb: *none\n", "cannot read the YAML: found undefined alias 'none'", "recipe.yaml:2"),
        ("a: !!python/name:os.system\n", "cannot read the YAML: could not determine a con", "recipe.yaml:1"),
        ("a: \x07\n", "cannot read the YAML", "recipe.yaml"),
        ("a: 2024-13-45\n", "cannot read the YAML: month must be in 1..12", "recipe.yaml"),
        ("a: !!timestamp soon\n", "a value does not fit its tag", "recipe.yaml"),
        ("a: !!bool maybe\n", "a value does not fit its tag", "recipe.yaml"),
        ("a: !!int ''\n", "a value does not fit its tag", "recipe.yaml"),
        ("a: 1\n? [x]\n: 2\n", "a key must be plain text", "recipe.yaml:2"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice", "recipe.yaml:3"),
        ("task:\n  train: a\n  train: b\n", "the key 'train' stands twice", "recipe.yaml:3"),
        ("a: " + "[" * 30 + "]" * 30, "the recipe is nested more than 20 deep", "recipe.yaml"),
        ("a: " + "[" * 2000 + "]" * 2000, "the recipe is nested more than 20 deep", "recipe.yaml"),
        ("a: &a [*a]\n", "the recipe is nested more than 20 deep", "recipe.yaml"),
        ("a: &a {<<: *a}\n", "the recipe is nested more than 20 deep", "recipe.yaml"),
        ("a: 1\n<<: 3\n", "expected a mapping or list of mappings for merging", "recipe.yaml:2"),
        (f"a: 1\nb: 0x{'f' * 5000}\n", "a whole number of 5,002 digits", "recipe.yaml:2"),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_line(refused, text, what, where):
    error = refused(text)
    assert what in error.what
    assert error.where == where


@pytest.mark.parametrize("text", ["a: 1\n{key}: 2\n", "{key}: 1\n{key}: 2\n", "task: {{{key}: 1}}\n"])
def test_an_endless_key_is_told_by_its_beginning(refused, text):
    assert len(refused(text.format(key="x" * 5000)).what) < 400


def test_too_large_a_file_is_refused_unread(refused):
    assert refused("#" * (MAX_BYTES + 1)).what == "the recipe is longer than the 1,000,000 characters that are read"


def test_brackets_without_end_are_refused_at_once(refused):
    with at_once():
        error = refused("[" * MAX_BYTES)  # PyYAML alone takes minutes
    assert error.what == "the recipe is nested more than 20 deep"


def test_a_missing_recipe_is_told_with_its_path(tmp_path):
    with pytest.raises(InputError, match="cannot read the recipe: No such file or directory") as caught:
        load_recipe(tmp_path / "none.yaml")
    assert caught.value.where == str(tmp_path / "none.yaml")


def test_too_many_aliases_are_refused(refused):
    text = "a: &a 1\nb: [" + ",".join(["*a"] * 101) + "]\n"
    assert refused(text).what == "the recipe has more than 100 YAML aliases"


def test_a_few_aliases_that_grow_without_end_are_refused_at_once(refused):
    # 9 levels of 9 aliases each: 81 aliases, 9**10 values
    levels = ["l0: &l0 [0,0,0,0,0,0,0,0,0]"]
    levels += [f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    with at_once():
        error = refused("\n".join(levels))
    assert "more than 100,000 values" in error.what


def test_aliases_and_merges_within_bounds_are_read():
    data, lines = parse_yaml(b"a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2\n", "r")
    assert data == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    assert lines["c", "y"] == 5


def test_a_byte_order_mark_is_no_part_of_the_first_key(load):
    assert load("\ufeff" + RECIPE)[0].name == "tiny"


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("seed=3", lambda recipe: recipe.seed, 3),
        ("task.train=other.csv", lambda recipe: recipe.task.train, str(Path("other.csv").absolute())),
        ("task.columns.text=body", lambda recipe: recipe.task.columns["text"], "body"),
        ("pruned.ffn=0.3", lambda recipe: recipe.steps[1].settings["ffn"], 0.3),
        ("pruned.recover.epochs=4", lambda recipe: recipe.steps[1].settings["recover"], {"epochs": 4}),
        ("pruned.heads.keep=1", lambda recipe: recipe.steps[1].settings["heads"], {"keep": 1}),
        ("bench.rounds=9", lambda recipe: recipe.bench.rounds, 9),
        ("goal=null", lambda recipe: recipe.goal, None),
        ("targets={gpu: {device: cuda}}", lambda recipe: list(recipe.targets), ["gpu"]),
        ("task.train=a=b.csv", lambda recipe: recipe.task.train, str(Path("a=b.csv").absolute())),
        (" seed =3", lambda recipe: recipe.seed, 3),
    ],
)
def test_an_override_sets_one_value(load, override, read, expected):
    recipe, _ = load(RECIPE, override)
    assert read(recipe) == expected


def test_the_last_override_wins(load):
    assert load(RECIPE, "seed=3", "seed=4")[0].seed == 4


def test_an_override_leaves_what_shares_an_alias_alone(load):
    text = RECIPE.replace("    epochs: 2\n", "    recover: &r {epochs: 1}\n").replace("{epochs: 1}}", "*r }")
    teacher, pruned = load(text, "teacher.recover.epochs=3")[0].steps
    assert teacher.settings["recover"] == {"epochs": 3}
    assert pruned.settings["recover"] == {"epochs": 1}


@pytest.mark.parametrize(
    ("override", "what", "fix"),
    [
        ("seed", "an override is written a.b=value", "for example --set prune.ffn=0.3"),
        ("=3", "an override is written a.b=value", "for example"),
        ("pruned.=3", "an override is written a.b=value", "for example"),
        ("prund.ffn=1", "'prund' is neither a step nor a key of the recipe", "did you mean 'pruned'?"),
        ("pruned=3", "an override of a step names one of its settings", "for example pruned.epochs=1"),
        ("name.x=1", "'name' holds 'tiny', which has no 'x' inside", "override the whole value"),
        ("steps.0.epochs=1", "'steps' holds [{'name': 'teacher'", "name the step: --set teacher.epochs=1"),
        ("seed=[", "cannot read the YAML: expected the node content", "check the indentation and the quotes"),
        ("name=2024-13-45", "cannot read the YAML: month must be in 1..12", "write the value as plain text in quotes"),
        ("goal=&a [*a]", "the value is nested more than 20 deep", "flatten it"),
    ],
)
def test_a_wrong_override_is_told(refused, override, what, fix):
    error = refused(RECIPE, override)
    assert what in error.what
    assert fix in error.fix
    assert error.where == f"--set {override}"


MERGES = [f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 10)]
GROWS = [f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (f"{{l0: &l0 [0,0,0,0,0,0,0,0,0], {', '.join(GROWS)}}}", "the value has more than 100,000 values"),
        (f"{{l0: &l0 {{x: 1, y: 2}}, {', '.join(MERGES)}}}", "the value has more than 100,000 values"),
        ("[" * 100_000, "the value is nested more than 20 deep"),
        (f"0x{'f' * 5000}", "a whole number of 5,002 digits"),
        ("'" + "x" * MAX_BYTES + "'", "the value is longer than the 1,000,000 characters that are read"),
        ("!!python/object/apply:os.system [id]", "cannot read the YAML: could not determine a constructor"),
    ],
    ids=["aliases", "merge keys", "brackets", "digits", "length", "code"],
)
def test_an_overrides_value_is_read_within_the_bounds_of_a_recipe(refused, value, what):
    with at_once():
        error = refused(RECIPE, f"goal={value}")
    assert error.what.startswith(what)
    assert len(error.where) < 300


@pytest.mark.parametrize("override", ["seed=x", "seed=-1", "goal.min_sped=2", "device=tpu", "goal=.nan"])
def test_an_overridden_value_is_validated_like_a_written_one(refused, override):
    assert refused(RECIPE, override).what.startswith("in the recipe: ")


def test_an_error_of_an_overridden_value_names_the_override_not_the_line(refused):
    assert refused(RECIPE, "targets.cpu.threads=0").where == "--set targets.cpu.threads=0"
    assert refused(RECIPE.replace("threads: 1", "threads: 0"), "seed=1").where == "recipe.yaml:12"


def test_a_wrong_item_is_told_once(refused):
    error = refused("name: a\ntask: {}\nsteps: [finetune]\n")
    assert error.what == "in the recipe: 'steps.0' is 'finetune': a mapping (key: value) is needed"


@pytest.mark.parametrize("override", ["seed=true", "task.max_length=yes", "targets.cpu.threads=false"])
def test_truth_is_no_number(override, load):
    with pytest.raises(InputError, match=r"is (True|False): true and false do not fit here"):
        load(RECIPE, override)
    assert load(RECIPE, "trust_remote_code=true")[0].trust_remote_code is True


def test_a_target_is_named_so_that_files_can_be(refused):
    error = refused(RECIPE.replace("cpu:", "../cpu:"))
    assert "targets" in error.what
    assert error.where == "recipe.yaml:12"


IN_ITS_FORMATS = "takes no 'precision': an ONNX file is run in the formats written in it"


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("{precision: bf16}", f"onnxruntime {IN_ITS_FORMATS}"),
        ("{precision: fp16, device: cuda}", f"onnxruntime {IN_ITS_FORMATS}"),
        ("{runtime: tensorrt, device: cuda, precision: fp16}", f"tensorrt {IN_ITS_FORMATS}"),
        ("{runtime: tensorrt}", "tensorrt runs on device: cuda alone"),
        ("{runtime: openvino, device: cuda}", "openvino runs on device: cpu alone"),
        ("{runtime: openvino, precision: int8}", "'fp32', 'fp16' or 'bf16'"),
        ("{runtime: tensorflow}", "'onnxruntime', 'openvino', 'tensorrt', 'torch' or 'torch_compile'"),
    ],
)
def test_a_target_that_cannot_be_is_refused_with_its_line(refused, target, what):
    error = refused(RECIPE.replace("{threads: 1}", target))
    assert what in error.what
    assert error.where == "recipe.yaml:12"


def test_an_unknown_runtime_is_answered_with_the_nearest_and_its_line(refused):
    error = refused(RECIPE.replace("{threads: 1}", "{runtime: openvno}"))
    known = ["onnxruntime", "openvino", "tensorrt", "torch", "torch_compile"]
    listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
    assert error.what == f"in the recipe: 'targets.cpu.runtime' is 'openvno': input should be {listed}"
    assert error.fix == f"did you mean 'openvino'? accepted: {', '.join(known)}"
    assert error.where == "recipe.yaml:12"


@pytest.mark.parametrize(
    ("target", "reads_onnx"),
    [
        ("{}", True),
        ("{device: cuda}", True),
        ("{runtime: tensorrt, device: cuda}", True),
        ("{runtime: openvino, precision: bf16}", True),
        ("{runtime: torch, precision: fp16, device: cuda}", False),
        ("{runtime: torch_compile, precision: bf16}", False),
    ],
)
def test_a_target_that_can_be_runs_what_its_runtime_takes(load, target, reads_onnx):
    recipe, _ = load(RECIPE.replace("{threads: 1}", target))
    assert runs("onnx", recipe.targets["cpu"]) is reads_onnx is not runs("torch", recipe.targets["cpu"])
