"""Flags become settings, all faults come together, and the run is what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from geomoe import training
from geomoe.cli import main
from geomoe.cli.train import split
from geomoe.config import RunConfig
from geomoe.config.load import load
from geomoe.config.shipped import shipped
from geomoe.errors import ConfigError


@pytest.fixture
def asked(monkeypatch):
    """What the verb asks of training, without the training."""
    calls = []

    def fit(config, **options):
        calls.append((config, options))
        folder = Path("runs/x")
        return training.RunResult(
            folder, folder / "best.ckpt", folder / "last.ckpt", {"val_acc": 0.5, "lr": 1e-3}
        )

    monkeypatch.setattr(training, "fit", fit)
    return calls


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--model.num_experts", "8"], {"model.num_experts": "8"}),
        (["--model.num_experts=8"], {"model.num_experts": "8"}),
        (["--model.num-experts", "8"], {"model.num_experts": "8"}),
        (["--held-out", "Asia"], {"data.held_out": "Asia"}),
        (["--held_out=Asia"], {"data.held_out": "Asia"}),
        (["--data.held_out", "Asia"], {"data.held_out": "Asia"}),
        (
            ["--algorithm", "erm", "--seed", "3", "--output", "out"],
            {"algorithm": "erm", "seed": "3", "output": "out"},
        ),
        (["--seed", "-1"], {"seed": "-1"}),
        (["--model.learn_gamma"], {"model.learn_gamma": "true"}),
        (["--model.learn_gamma", "--resume"], {"model.learn_gamma": "true"}),
        (["--run-name", "a=b"], {"run_name": "a=b"}),
        (["--run-name="], {"run_name": ""}),
        (["--seed", "1", "--seed", "2"], {"seed": "2"}),
    ],
)
def test_flags_are_settings(argv, expected):
    settings, rest, faults = split(["bluemarble", *argv])
    assert {setting.key: setting.value for setting in settings} == expected
    assert rest == ["bluemarble", *(["--resume"] if "--resume" in argv else [])]
    assert faults == []


def test_the_name_may_come_last_and_switches_take_either_dash():
    settings, rest, faults = split(["--seed", "1", "--dry_run", "--config", "x.yaml", "bluemarble"])
    assert [setting.source for setting in settings] == ["--seed"]
    assert (rest, faults) == (["--dry-run", "--config", "x.yaml", "bluemarble"], [])


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (["--model.num_expert", "8"], "--model.num_expert: unknown key; did you mean --model.num_experts?"),
        (["--num-experts=8"], "--num-experts: unknown key; did you mean --model.num_experts?"),
        (["--held-ut", "Asia"], "--held-ut: unknown key; did you mean --held-out?"),
        (["--dry-rum"], "--dry-rum: unknown key; did you mean --dry-run?"),
        (["--zzz"], "--zzz: unknown key"),
        (["--seed"], "seed: --seed needs a value"),
        (["--seed", "--resume"], "seed: --seed needs a value"),
    ],
)
def test_faults_of_flags(argv, fault):
    for whole in (["bluemarble", *argv], [*argv, "bluemarble"] if len(argv) > 1 else ["bluemarble", *argv]):
        assert split(whole)[2] == [fault]


def test_print_config_is_the_configuration(capsys, tmp_path):
    flags = ["--held-out", "Asia", "--model.top_k", "2", "--trainer.loggers", "csv"]
    assert main(["train", "bluemarble", "--print-config", *flags]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "again.yaml").write_text(printed, encoding="utf-8")
    config = load(file=tmp_path / "again.yaml", environment={})
    assert (config.data.held_out, config.model.top_k, config.trainer.loggers) == ("Asia", 2, ("csv",))
    assert main(["train", "--config", str(tmp_path / "again.yaml"), "--print-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == config.as_dict() == yaml.safe_load(printed)


def test_precedence_of_the_real_command(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOMOE_RUN_NAME", "from-environment")
    monkeypatch.setenv("GEOMOE_DATA__SPLIT_SEED", "1")
    (tmp_path / "own.yaml").write_text("data: {split_seed: 2}\nseed: 5\n", encoding="utf-8")
    own = ["--config", str(tmp_path / "own.yaml")]
    assert main(["train", *own, "--seed", "6", "--print-config", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert (config["run_name"], config["data"]["split_seed"], config["seed"]) == ("from-environment", 2, 6)


def test_training_is_asked_for_what_was_typed(asked, capsys):
    argv = ["train", "bluemarble", "--algorithm", "erm", "--resume", "--quiet", "--output", "there"]
    assert main(argv) == 0
    ((config, options),) = asked
    assert (config.algorithm, config.output) == ("erm", "there")
    assert options == {"resume": True, "dry_run": False, "command": ["geomoe", *argv], "quiet": True}
    assert capsys.readouterr() == (
        "run      runs/x\nbest     runs/x/best.ckpt\nlast     runs/x/last.ckpt\nval_acc  0.5\n",
        "",
    )


def test_json_of_a_run(asked, capsys):
    assert main(["train", "bluemarble", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": "runs/x",
        "best": "runs/x/best.ckpt",
        "last": "runs/x/last.ckpt",
        "metrics": {"val_acc": 0.5, "lr": 1e-3},
    }


def test_only_the_first_process_reports(asked, capsys, monkeypatch):
    monkeypatch.setattr(training, "is_first_process", lambda: False)
    assert main(["train", "bluemarble", "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_all_faults_of_the_command_line_file_and_environment(asked, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOMOE_TRAINER__MAX_EPOCHS", "many")
    own = tmp_path / "own.yaml"
    own.write_text("optimizer: {learning_rate: 1}\n", encoding="utf-8")
    argv = [
        "train",
        "blumarble",
        "--config",
        str(own),
        "--model.top_k",
        "9",
        "--modle.gamma=1",
        "--resume",
        "--dry-run",
    ]
    assert main([*argv, "extra"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert not asked
    first, *rest = err.splitlines()
    assert first == "geomoe: error: 7 faults in the configuration:"
    assert {line.strip().split(":")[0] for line in rest} == {
        "--modle.gamma",
        "unexpected argument 'extra'",
        "--resume, --dry-run",
        "trainer.max_epochs",
        "NAME",
        "optimizer.learning_rate",
        "model.top_k",
    }


def test_no_name(asked, capsys):
    assert main(["train"]) == 2
    names = ", ".join(shipped())
    assert (
        capsys.readouterr().err
        == f"geomoe: error: NAME: give a configuration (known: {names}) or --config FILE\n"
    )


def test_a_fault_of_training_itself(monkeypatch, capsys):
    def fit(config, **options):
        raise ConfigError("model.moge_blocks: block 9 of 4")

    monkeypatch.setattr(training, "fit", fit)
    assert main(["train", "bluemarble"]) == 2
    assert capsys.readouterr() == ("", "geomoe: error: model.moge_blocks: block 9 of 4\n")


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def fit(config, **options):
        if config.run_name:
            training.run_folder(config).start(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", fit)
    for again in ([], ["--resume"]):
        assert main(["train", "bluemarble", "--run-name", "my run", *again]) == 130
        line = "geomoe: interrupted; go on with: geomoe train bluemarble --run-name 'my run' --resume\n"
        assert capsys.readouterr() == ("", line)
    assert main(["train", "bluemarble"]) == 130, "before the folder was made: --resume would be refused"
    assert capsys.readouterr() == ("", "geomoe: interrupted; begin again with: geomoe train bluemarble\n")
    assert main(["train", "bluemarble", "--dry-run"]) == 130
    assert capsys.readouterr().err == "geomoe: interrupted\n"


def test_defaults_are_those_of_the_classes(asked, tmp_path, capsys):
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    assert main(["train", "--config", str(tmp_path / "empty.yaml")]) == 0
    assert asked[0][0] == RunConfig()


def test_the_folder_of_a_run_is_no_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.yaml").write_text("seed: 1\n", encoding="utf-8")
    assert main(["train", "--resume", "r"]) == 2
    said = "NAME: r is the folder of a run; repeat its command with --resume, or give --config r/config.yaml"
    assert capsys.readouterr().err.startswith(f"geomoe: error: {said}")


@pytest.mark.parametrize(
    ("algorithm", "flag", "read"),
    [
        ("erm", "--model.top_k", False),
        ("gmoe", "--model.top_k", False),  # an option of the method there
        ("moge", "--model.top_k", True),
        ("gmoe", "--model.num_experts", True),
        ("erm", "--encoder.out_dim", False),
        ("dcp_le", "--encoder.out_dim", True),
    ],
)
def test_flags_that_the_network_does_not_read_are_told(algorithm, flag, read, capsys):
    assert main(["train", "bluemarble", "--algorithm", algorithm, flag, "2", "--print-config"]) == 0
    told = f"{flag}: the network of {algorithm} does not read it: nothing changes"
    assert (told in capsys.readouterr().err) is not read
