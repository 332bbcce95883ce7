"""What a sampler that learns is told of the trials before: all that have ended, lost ones too."""

from __future__ import annotations

import yaml

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.spec import spec_of
from geomoe.bench.running import work
from geomoe.bench.running.run_values import Failed, write_value


def test_every_trial_that_has_ended_is_told(tmp_path, small, monkeypatch):
    monkeypatch.setattr(work, "ask_optuna", lambda space, where, earlier: earlier)
    monkeypatch.setattr("geomoe.bench.planning.plan.import_optuna", lambda: None)
    search = {"optimizer.lr": [0.001, 0.1], "method.aux": {"low": 0.001, "high": 1.0, "log": True}}
    changes = {"algorithms": ["moge"], "trials": 3, "sampler": "optuna", "seeds": 1, "search": search}
    plan = make_plan(spec_of({**small, **changes}), tmp_path)
    first, second, third = plan.runs

    def begin(run, lr, aux):
        settings = plan.config(run, []).as_dict()
        settings["optimizer"]["lr"], settings["moge"]["aux"] = lr, aux
        plan.folder(run).mkdir(parents=True)
        (plan.folder(run) / "config.yaml").write_text(yaml.safe_dump(settings))

    begin(first, 0.001, 0.01)
    assert work._drawn(plan, second) is None  # has not ended
    (plan.folder(first) / "done").touch()
    monkeypatch.setattr(work, "read_done", lambda folder: type("Done", (), {"validation": 0.5}))
    assert work._drawn(plan, second) == [({"optimizer.lr": 0.001, "method.aux": 0.01}, 0.5)]
    begin(second, 0.1, 0.2)
    write_value(plan.folder(second) / "failed.json", Failed("no number", "diverged", 1, 0.0, "here"))
    lost = ({"optimizer.lr": 0.1, "method.aux": 0.2}, None)
    assert work._drawn(plan, third) == [({"optimizer.lr": 0.001, "method.aux": 0.01}, 0.5), lost]
