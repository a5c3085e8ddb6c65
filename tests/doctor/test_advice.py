"""The machine and the advice on it: facts read from made-up systems, sentences from made-up rates."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from compress.doctor import advice, surroundings
from compress.doctor.advice import HALVES, ONNX_KINDS, SHAPES, TOKENS, advise, end_to_end, time_machine, times
from compress.doctor.surroundings import Machine, Rate, quota_cores, this_machine, threads_per_core, watched

QUIET = Machine(
    cpu="A processor",
    isa=("avx2", "avx512_vnni"),
    memory_bytes=8 * 10**9,
    processors=4,
    allowed=4,
    quota_cores=None,
    threads_per_core=1,
    busy_cores=0.0,
)


def rated(threads: int = 4, scaling: float = 1.0, **ratios: float) -> Machine:
    """A machine whose rates are these ratios over fp32; `one_token` is the ratio of 4-bit products in int8 there."""
    fewer = ratios.pop("one_token", 1.0)
    kinds = {**dict.fromkeys((*ONNX_KINDS, "bf16"), 1.0), **ratios}
    rates = []
    for count in sorted({1, threads}):
        for tokens in TOKENS:
            for shape in SHAPES:
                fp32 = 100.0 * (1 + (count - 1) * scaling)
                for kind, ratio in kinds.items():
                    used = fewer if tokens == 1 and kind == "4bit" else ratio
                    rates.append(Rate(kind, tokens, *shape, count, fp32 * used, used))
    return replace(QUIET, rates=tuple(rates))


def said(machine: Machine) -> dict[str, str]:
    return {item.topic: item.text for item in advise(machine)}


@pytest.mark.parametrize(
    ("dynamic", "static", "start", "end"),
    [
        (
            3.7,
            3.7,
            "dynamic 3.7x, static 3.7x fp32's speed at 128 tokens on 4 threads (avx512_vnni).",
            "the model gets 1.6x to 2.4x as fast.",
        ),
        (
            0.9,
            2.0,
            "dynamic 0.9x, static 2.0x fp32's speed",
            "1.3x to 1.7x as fast. Static is the faster: compress quantize --how onnx_static.",
        ),
        (3.0, 1.0, "dynamic 3.0x, static 1.0x fp32's speed", "Dynamic is the faster."),
        (1.1, 1.0, "saves size, hardly time, on this machine: dynamic 1.1x, static 1.0x", "(avx512_vnni)."),
        (0.6, 0.94, "neither pays here, dynamic nor static: it saves size and hardly costs time. dynamic 0.6x", "."),
        (0.6, 0.7, "neither pays here, dynamic nor static: it saves size and costs time. dynamic 0.6x, static", "."),
    ],
)
def test_int8_is_judged_by_the_better_of_its_ratios(dynamic, static, start, end):
    text = said(rated(int8_dynamic=dynamic, int8_static=static))["int8"]
    assert text.startswith(start)
    assert text.endswith(end)


def test_a_machine_without_int8_instructions_is_told_so():
    assert "(no VNNI, no AMX)" in said(replace(rated(), isa=("avx2",)))["int8"]


def test_two_shapes_that_differ_are_told_as_a_range():
    machine = rated(int8_dynamic=3.0)
    wide = tuple(
        rate._replace(ratio=4.0) if rate.kind == "int8_dynamic" and rate.inputs == 768 else rate
        for rate in machine.rates
    )
    assert said(replace(machine, rates=wide))["int8"].startswith("dynamic 3.0x to 4.0x, static 1.0x fp32's speed")


@pytest.mark.parametrize(
    ("as_float", "as_int8", "one", "encoder", "decoder"),
    [
        (0.94, 0.6, 2.0, "0: it saves size only", "4: it gains"),
        (0.94, 1.3, 2.0, "4: it saves size and some time", "4: it gains"),
        (0.5, 0.49, 0.5, "0 or 4: it saves size only, and costs time", "0 or 4: it gains nothing"),
    ],
)
def test_4_bits_are_told_in_both_arithmetics_with_the_level_that_is_faster(as_float, as_int8, one, encoder, decoder):
    text = said(rated(**{"4bit_float": as_float, "4bit": as_int8, "one_token": one}))["4-bit"]
    assert text.startswith(
        f"fp32's speed by tokens: accuracy_level 0 (float) {times([as_float])} at 128, {times([as_float])} at 32, "
        f"{times([as_float])} at 1; accuracy_level 4 (int8) {times([as_int8])} at 128, {times([as_int8])} at 32, "
        f"{times([one])} at 1. "
    )
    assert text.endswith(f"For an encoder take {encoder}. For decoding token by token take {decoder}.")


@pytest.mark.parametrize(
    ("topic", "kind", "ratio", "words"),
    [
        ("fp16", "onnx_fp16", 1.0, "computed as fp32 here, so it saves size only"),
        ("fp16", "onnx_fp16", 0.5, "slower than fp32 here, so it saves size only"),
        ("fp16", "onnx_fp16", 2.0, "worth a try"),
        ("bf16", "bf16", 1.8, "worth a try on a target of torch or openvino with precision: bf16"),
        ("bf16", "bf16", 0.3, "no gain here"),
    ],
)
def test_half_precision_is_judged_by_its_ratio(topic, kind, ratio, words):
    assert words in said(rated(**{kind: ratio}))[topic]


def test_threads_that_scale_are_told_and_those_that_do_not_are_warned_of():
    assert said(rated(scaling=1.0))["threads"] == "4 run fp32 products 4.0x as fast as 1 at 128 tokens."
    text = said(rated(scaling=0.2))["threads"]
    assert text == (
        "4 run fp32 products 1.6x as fast as 1 at 128 tokens. Beyond 1, run more processes rather than more threads."
    )
    assert "threads" not in said(rated(threads=1))


def test_a_quiet_machine_that_is_all_ours_is_not_warned_of():
    assert [item.topic for item in advise(rated()) if item.warns] == []
    assert advise(QUIET) == []


def test_fewer_cores_than_the_machine_reports_are_warned_of():
    by_quota = replace(QUIET, processors=64, allowed=64, quota_cores=2.5)
    assert by_quota.threads == 2
    text = said(by_quota)["cores"]
    assert "may use 2.5 of 64 processors (its container's quota)" in text
    assert text.endswith("Set threads: 2.")
    text = said(replace(QUIET, processors=64, allowed=8))["cores"]
    assert "may use 8 of 64 processors (its set of allowed cores)" in text
    assert replace(QUIET, quota_cores=0.5).threads == 1


def test_hardware_threads_are_warned_of():
    text = said(replace(QUIET, threads_per_core=2))["cores"]
    assert text.startswith("4 processors are 2 cores of 2 hardware threads")


def test_other_work_is_warned_of_before_anything_else():
    first, *_ = advise(replace(rated(), busy_cores=1.26))
    assert (first.topic, first.warns) == ("load", True)
    assert first.text.startswith("other work kept 1.3 of 4 processors busy")
    assert "load" not in said(replace(rated(), busy_cores=0.1))


def test_amdahl():
    assert end_to_end(2.0, 1.0) == 2.0
    assert end_to_end(4.0, 0.0) == 1.0
    assert end_to_end(3.0, 0.75) == pytest.approx(1 / (0.25 + 0.25))


def test_ratios_are_told_without_repeating_what_reads_the_same():
    assert times([3.61, 3.0]) == "3.0x to 3.6x"
    assert times([1.01, 0.99]) == "1.0x"
    assert times([0.01]) == "0.01x"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "200000 100000"}, 2.0),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a\n", {"a/cpu.max": "400000 100000", "cpu.max": "100000 100000"}, 1.0),
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "50000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("3:memory:/\n", {"memory/cpu.max": "100000 100000"}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
    ],
)
def test_quotas_of_control_groups(tmp_path, groups, files, quota):
    root = tmp_path / "cgroup"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    own = tmp_path / "own"
    own.write_text(groups)
    assert quota_cores(root, own) == quota


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert quota_cores(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0,64", 2), ("0-1", 2), ("0-1,8-9", 4), (None, 1)])
def test_threads_of_a_core(tmp_path, text, count):
    path = tmp_path / "thread_siblings_list"
    if text is not None:
        path.write_text(text + "\n")
    assert threads_per_core(path) == count


def test_others_are_what_this_process_and_its_children_did_not_use(monkeypatch):
    """A hundred seconds on four cores: 150 idle, 10 waiting, 40 our own, 20 our children's: 180 are others'."""
    machine = iter([(0, 0, 0, 0), (220, 20, 150, 10)])
    fields = ("user", "system", "idle", "iowait")
    monkeypatch.setattr(
        surroundings.psutil,
        "cpu_times",
        lambda: SimpleNamespace(_fields=fields, **dict(zip(fields, next(machine), strict=True))),
    )
    own = iter([(0, 0, 0, 0), (30, 10, 15, 5)])
    names = ("user", "system", "children_user", "children_system")
    monkeypatch.setattr(surroundings.os, "times", lambda: SimpleNamespace(**dict(zip(names, next(own), strict=True))))
    monkeypatch.setattr(surroundings.os, "cpu_count", lambda: 4)
    clock = iter([0.0, 100.0])
    monkeypatch.setattr(surroundings.time, "perf_counter", lambda: next(clock))
    with watched() as others:
        pass
    assert others.busy_cores == pytest.approx(1.8)


def test_looking_around_finds_this_machine(monkeypatch):
    monkeypatch.setattr(surroundings, "LOAD_SECONDS", 0.01)
    found = this_machine()
    assert 1 <= found.threads <= found.allowed <= found.processors
    assert found.busy_cores >= 0
    assert found.rates == ()


@pytest.mark.parametrize(("threads", "between"), [(1, set()), (2, set()), (8, {2, 4}), (6, {2, 4})])
def test_all_kinds_are_timed_on_one_and_on_all_threads(monkeypatch, threads, between):
    asked = []

    def time_fake(kernels, seconds, progress):
        asked.append(kernels)
        progress(1, 2)
        return [{"fp32": 10.0, "int8_dynamic": 30.0}.get(item.kind, 5.0) * item.threads for item in kernels]

    monkeypatch.setattr(advice, "time_kernels", time_fake)
    told = []
    found = time_machine(QUIET, threads, lambda *step: told.append(step))
    assert {item.kind for item in asked[1]} == {"bf16"}, "torch has a process of its own"
    rates = {rate[:5]: rate for rate in found.rates}
    per_shape = len(TOKENS) * (len(ONNX_KINDS) - 1) + len(HALVES)
    assert len(rates) == len(found.rates) == len({1, threads}) * len(SHAPES) * per_shape + 2 * len(between)
    assert {rate.tokens for rate in found.rates if rate.kind in HALVES} == {TOKENS[0]}
    assert {rate.threads for rate in found.rates} == {1, threads} | between
    assert {rate.ratio for rate in found.rates if rate.kind == "int8_dynamic"} == {3.0}
    assert {rate.ratio for rate in found.rates if rate.kind == "bf16"} == {0.5}
    assert all(0 <= done <= total for _, done, total in told)
