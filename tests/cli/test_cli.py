"""What every command has in common: exit codes, the form of errors, JSON, and what the import costs."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

import compress
from compress import stages
from compress.recipe.shipped import shipped, shipped_folder
from compress.recipe.yaml_file import load_recipe

HEAVY = ("torch", "transformers", "onnxruntime", "datasets", "optimum", "pandas", "sklearn", "numpy")
TASK = {"train": "train.csv", "test": "test.csv", "max_length": 32}


@pytest.fixture
def recipe(tmp_path, make_model, reviews):
    """A recipe file in the current folder."""
    steps = [
        {"name": "teacher", "stage": "finetune", "model": str(make_model())},
        {"name": "onnx", "stage": "export_onnx"},
    ]
    task = {**TASK, "train": str(reviews / "train.csv"), "test": str(reviews / "test.csv")}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"name": "tiny", "task": task, "steps": steps, "targets": {"cpu": {"threads": 1}}}))
    return path


def test_importing_the_command_line_imports_nothing_heavy():
    code = "import sys, compress.cli; print([name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_python_m_compress_says_its_version():
    done = subprocess.run([sys.executable, "-m", "compress", "-V"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"compress {compress.__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_command_the_commands_are_listed(cli, arguments):
    said = cli(*arguments)
    assert (said.code, said.err) == (0, "")
    listed = said.out.partition("Start:\n")[2]
    for command in ("run", "plan", "init", "finetune", "distill", "prune", "export", "quantize", "chain", "bench"):
        assert f"\n  {command} " in f"\n{listed}"


@pytest.mark.parametrize(
    ("arguments", "what", "where"),
    [
        (["--nope"], "no such option: --nope", "compress"),
        (["plan"], "missing argument 'RECIPE'", "compress plan"),
        (["plan", "a", "b"], "got unexpected extra argument(s) (b)", "compress plan"),
        (["plan", "a", "--set"], "option '--set' requires an argument", "compress plan"),
        (["finetune", "m", "--seed", "x"], "invalid value for '--seed': ", "compress finetune"),
        (["init", "--train", "a"], "missing option '--model'", "compress init"),
        (["bench"], "missing argument 'ARTIFACT…'", "compress bench"),
        (["schema", "extra"], "got unexpected extra argument(s) (extra)", "compress schema"),
    ],
)
def test_a_wrong_use_of_the_command_line_ends_with_2(refused, arguments, what, where):
    error = refused(*arguments)
    assert error.what.startswith(what)
    assert (error.where, error.fix) == (where, f"`{where} --help` lists what is accepted")


@pytest.mark.parametrize(
    ("arguments", "what", "where", "close"),
    [
        (["pln"], "no such command 'pln'", "compress", "plan"),
        (["store", "lst"], "no such command 'lst'", "compress store", "list"),
        (["run", "a", "--runs", "b"], "no such option: --runs", "compress run", "--runs-dir"),
        (["prune", "m", "--importanc", "x"], "no such option: --importanc", "compress prune", "--importance"),
    ],
)
def test_the_nearest_command_or_option_is_proposed(refused, arguments, what, where, close):
    error = refused(*arguments)
    assert (error.what, error.where) == (what, where)
    assert error.fix == f"did you mean '{close}'? `{where} --help` lists what is accepted"


def test_the_nearest_value_is_proposed_where_a_few_are_accepted(refused, recipe):
    error = refused("plan", recipe, "--set", "teacher.precision=fp23")
    assert error.what.startswith("in step 'teacher': 'precision' is 'fp23': input should be 'auto', 'fp32'")
    assert error.fix == "did you mean 'fp32'? accepted: auto, bf16, fp16, fp32"
    assert refused("plan", recipe, "--set", "teacher.precision=zzz").fix == "correct the value there"
    assert refused("plan", recipe, "--set", "task.metric=acuracy").fix.startswith("did you mean 'accuracy'?")


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("quickstrat", "there is no recipe 'quickstrat'", "did you mean 'quickstart'? accepted: "),
        ("recipes/quickstrat.yaml", "there is no recipe 'recipes/quickstrat.yaml'", "did you mean 'quickstart'?"),
        (".", "cannot read the recipe: Is a directory", "`compress recipes` lists the shipped ones"),
    ],
)
def test_a_recipe_that_is_not_there_is_told(refused, name, what, fix):
    for command in ("plan", "run"):
        error = refused(command, name)
        assert error.what == what
        assert error.fix.startswith(fix)
    assert not Path("runs").exists()


def test_a_wrong_override_ends_with_2(refused, recipe):
    error = refused("plan", recipe, "--set", "teacher.epoch=3")
    assert error.what == "in step 'teacher': unknown key 'epoch'"
    assert error.where == "--set teacher.epoch=3"
    assert error.fix.startswith("did you mean 'epochs'? accepted: attention_dropout, batch_size")
    assert (
        refused("plan", recipe, "--set", "teacher.epochs=").what
        == "in step 'teacher': 'epochs' is empty: a number is needed"
    )


def test_many_mistakes_are_told_in_one_error_of_a_few_lines(refused, recipe):
    wrong = [f"--set=teacher.{name}=wrong" for name in ("epochs", "learning_rate", "warmup", "schedule", "patience")]
    error = refused("plan", recipe, *wrong)
    assert error.what.count("is 'wrong'") == 4
    assert error.what.endswith("and 1 more")


def test_debug_shows_the_traceback_and_keeps_the_exit_code(cli, recipe):
    for arguments in (["--debug", "plan", recipe, "--set", "seed=x"], ["plan", recipe, "--set", "seed=x", "--debug"]):
        said = cli(*arguments)
        assert said.code == 2
        assert said.err.startswith("Traceback (most recent call last):")
        assert said.err.endswith(
            "error: in the recipe: 'seed' is 'x': a whole number is needed\n"
            "  where: --set seed=x\n  fix:   correct the value there\n"
        )


def test_an_error_of_ours_is_called_unexpected_and_ends_with_1(cli, recipe, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug\nof two lines")

    monkeypatch.setattr("compress.planning.planner.make_plan", broken)
    said = cli("plan", recipe)
    assert said.code == 1
    assert said.err == (
        "error: unexpected ZeroDivisionError: a bug\n"
        "  fix:   this is probably a bug in compress; run again with --debug and report it\n"
    )
    assert "ZeroDivisionError: a bug\nof two lines\n" in cli("plan", recipe, "--debug").err


def test_ctrl_c_says_what_is_kept_and_ends_with_130(cli, recipe, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("compress.planning.planner.make_plan", interrupted)
    said = cli("run", recipe)
    assert (said.code, said.out) == (130, "")
    assert said.err.endswith("stopped; finished steps and checkpoints are kept: run the same command again to go on\n")


def test_ctrl_c_in_a_bench_promises_nothing(cli, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("compress.running.bench_folders.bench_folders", interrupted)
    said = cli("bench", "model", "--data", "test.csv", "--target", "onnxruntime")
    assert (said.code, said.out) == (130, "")
    assert said.err.endswith("stopped\n")


def test_a_plan_says_what_is_to_do_and_does_nothing(cli, recipe):
    said = cli("plan", recipe, "--no-forecast")
    assert (said.code, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines() if "to do" in line]
    assert said.out.startswith("tiny: 58 training, 6 validation and 32 test rows, 2 labels\n")
    assert lines == [["to", "do", "teacher", "finetune"], ["to", "do", "onnx", "export_onnx"]]
    assert said.out.endswith(
        "target cpu: onnxruntime on cpu, 1 thread, batch 1, 128 tokens\n"
        "simple baselines to be fitted (in no forecast):\n  commonest_label, linear_characters, linear_words\n"
    )
    assert not Path("runs").exists()


def test_a_plan_in_json_is_json_and_nothing_else(cli, recipe):
    said = cli("plan", recipe, "--no-forecast", "--json", "--set", "onnx.opset=18")
    assert (said.code, said.err) == (0, "")
    plan = json.loads(said.out)
    assert plan["recipe"] == "tiny"
    parts = {part: plan["data"][part]["rows"] for part in ("train", "validation", "test", "unlabelled")}
    assert parts == {"train": 58, "validation": 6, "test": 32, "unlabelled": 0}
    assert plan["data"]["test"]["labels"] == {"bad": 16, "good": 16}
    both = [plan["data"][part]["labels"] for part in ("train", "validation")]
    assert [sum(labels[label] for labels in both) for label in ("bad", "good")] == [32, 32]
    assert plan["data"]["notes"] == []
    teacher, onnx = plan["steps"]
    assert (teacher["step"], teacher["stage"], teacher["done"], teacher["only_measured"]) == (
        "teacher",
        "finetune",
        False,
        False,
    )
    assert onnx["config"] == {"opset": 18, "fuse": "auto", "skip_layer_norm": False, "tolerance": 0.001}
    assert len(onnx["key"]) == 64


def test_the_shipped_recipes_are_listed_with_what_they_are_about(cli):
    said = cli("recipes")
    assert said.code == 0
    lines = said.out.splitlines()
    listed = lines[: lines.index("")]
    assert [line.split()[0] for line in listed] == list(shipped())
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in listed)
    assert "run one:  compress run quickstart" in lines
    assert next(iter(shipped())) == "quickstart"


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_loads_and_its_settings_are_valid(name):
    recipe, _ = load_recipe(shipped()[name])
    assert recipe.name in name
    assert recipe.goal is not None
    assert recipe.targets
    for step in recipe.steps:
        stage = stages.find(step.stage)
        settings = {key: value for key, value in step.settings.items() if key not in stage.inputs}
        assert stage.config.model_validate(settings)


@pytest.fixture(scope="module")
def schema():
    done = subprocess.run([sys.executable, "-m", "compress", "schema"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("name", shipped())
def test_the_schema_accepts_a_shipped_recipe(schema, name):
    recipe = yaml.safe_load(shipped()[name].read_text())
    assert [error.message for error in schema.iter_errors(recipe)] == []


def test_the_schema_knows_every_setting_of_every_stage(schema):
    for name in stages.names():
        stage = stages.find(name)
        known = set(schema.schema["$defs"][f"step.{name}"]["properties"])
        assert known == {"name", "stage", *stage.inputs, *stage.config.model_fields}


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"task": {"trian": "a.csv"}},
        {"steps": [{"name": "a", "stage": "finetun"}]},
        {"steps": [{"name": "a", "stage": "finetune", "epoch": 1}]},
        {"steps": [{"name": "a", "stage": "prune_structured", "recover": {"epoch": 1}}]},
        {"steps": []},
        {"targets": {"cpu": {"thread": 1}}},
        {"seed": -1},
    ],
)
def test_the_schema_refuses_what_the_command_refuses(schema, refused, tmp_path, changes):
    data = {"name": "a", "task": {}, "steps": [{"name": "a", "stage": "finetune"}], **changes}
    assert not schema.is_valid(data)
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(data))
    assert refused("plan", path).what.startswith(("in the recipe: ", "in step 'a': ", "unknown stage 'finetun'"))


def test_the_schema_beside_the_recipes_is_the_one_that_is_printed(schema):
    assert json.loads((shipped_folder() / "schema.json").read_text()) == schema.schema


def test_a_plan_says_which_target_is_skipped(cli, recipe):
    impossible = "targets={gpu: {runtime: tensorrt, device: cuda}, half: {runtime: torch, precision: fp16}}"
    said = cli("plan", recipe, "--no-forecast", "--set", impossible)
    assert said.code == 0
    reason = "this onnxruntime has no TensorrtExecutionProvider (install onnxruntime-gpu, and what it needs of CUDA)"
    assert said.err == f"warning: target 'gpu' will be skipped: {reason}\n"
    assert said.out.splitlines()[-5:-2] == [
        "target gpu: tensorrt on cuda, 2 threads, batch 1, 128 tokens (will be skipped)",
        "target half: torch on cpu in fp16, 2 threads, batch 1, 128 tokens",
        "  skipped on it: onnx (the runtime 'torch' does not run the format 'onnx')",
    ]
    told = json.loads(cli("plan", recipe, "--no-forecast", "--json", "--set", impossible).out)["targets"]
    assert told["gpu"]["skipped"] == reason
    assert (told["half"]["skipped"], list(told["half"]["skipped_steps"])) == (None, ["onnx"])


def test_a_run_that_can_measure_nothing_is_refused_before_any_work(refused, recipe):
    for command in (["plan"], ["plan", "--json"], ["run"], ["run", "--smoke"], ["run", "--force"]):
        error = refused(*command, recipe, "--set", "targets.cpu.device=cuda")
        assert error.what.startswith("nothing can be measured here: target 'cpu': this onnxruntime has no CUDA")
        assert error.where == f"{recipe}:{recipe.read_text().splitlines().index('  cpu:') + 1}"
    assert not Path("runs").exists()
