"""The loop: what it evaluates with which weights, what it saves, and that a killed search loses nothing."""

import hashlib
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import cars_hw
from cars_hw import strategies, tabular_trainer
from cars_hw.assembly import make_space
from cars_hw.candidate import Candidate, Front
from cars_hw.errors import CheckpointError
from cars_hw.evolution.screening import Screen
from cars_hw.evolution.steadying import steadied
from cars_hw.ledger import Json, Ledger, Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Error, Limits, Objective, Parameters
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.saving.record import Generation, read_record
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import unconstrained
from cars_hw.strategies.cars import Cars
from cars_hw.strategies.random_search import RandomSearch
from cars_hw.testing._tables import write_table
from cars_hw.testing._tabular import CurveTrainer, Killed, KillingClock, TinySpace
from cars_hw.trainer import Trainer, TrainerState
from devices.foundation import ConfigError
from tests.fakes.configurations import TINIEST

_SCHEDULE = Schedule(warm_up_steps=5, steps=3, generations=4)


def _search(
    folder: Path | None = None,
    *,
    seed: int = 0,
    screening: bool | None = None,
    screen: Screen | None = None,
    clock: Callable[[], float] = time.monotonic,
    **fingerprint: str | tuple[str, ...],
) -> Search:
    space, trainer = TinySpace(), CurveTrainer()
    strategy = Cars(space, np.random.default_rng(seed), population_size=6)
    checkpoints = CheckpointFolder(folder) if folder else None
    objectives: list[Objective] = [Error(trainer), Parameters(space)]
    return Search(
        trainer,
        strategy,
        objectives,
        _SCHEDULE,
        checkpoints=checkpoints,
        fingerprint={
            name: (value,) if isinstance(value, str) else value for name, value in fingerprint.items()
        },
        screening=screening,
        screen=screen,
        clock=clock,
    )


def _outcome(generation: Generation) -> tuple[object, ...]:
    return generation.index, generation.population, generation.front


def test_a_search_yields_the_warm_up_and_then_each_generation() -> None:
    search = _search()
    generations = list(search.run())
    assert [generation.index for generation in generations] == [0, 1, 2, 3, 4]
    assert search.trainer.ledger.steps == _SCHEDULE.total_steps == 17
    assert all(len(generation.population) == 6 for generation in generations)
    assert all(set(generation.front) <= set(generation.population) for generation in generations)
    assert generations[-1].objectives == ("error", "parameters")


def test_newcomers_are_evaluated_with_the_previous_weights_and_members_are_not_again() -> None:
    search = _search()
    run = search.run()
    next(run)
    assert search.trainer.ledger.previous_evaluations == 0
    before = {member.architecture: member.costs[0] for member in search.strategy.population}
    generation = next(run)
    assert search.trainer.ledger.evaluations == 6 + 12 + 6
    assert search.trainer.ledger.previous_evaluations == 6
    for member in generation.population:
        if member.architecture in before:
            assert member.previous_error == before[member.architecture]
        assert member.previous_error is not None


def test_costs_are_those_of_todays_weights() -> None:
    search = _search()
    for generation in search.run():
        for member in generation.population:
            assert member.costs[0] == 1 - search.trainer.accuracy(member.architecture)


def test_a_resumed_search_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    straight = [_outcome(generation) for generation in _search(tmp_path / "a").run()]
    for stop in range(1, 5):
        folder = tmp_path / f"stop{stop}"
        run = _search(folder).run()
        for _ in range(stop):
            next(run)
        resumed = _search(folder)
        assert resumed.resume()
        rest = [_outcome(generation) for generation in resumed.run()]
        assert rest == straight[stop:]
        assert [_outcome(generation) for generation in resumed.history] == straight


def test_a_finished_search_resumes_to_nothing_more(tmp_path: Path) -> None:
    last = list(_search(tmp_path).run())[-1]
    resumed = _search(tmp_path)
    assert resumed.resume()
    assert list(resumed.run()) == []
    assert _outcome(resumed.history[-1]) == _outcome(last)


def test_there_is_nothing_to_resume_in_an_empty_folder(tmp_path: Path) -> None:
    assert not _search(tmp_path).resume()


def test_a_checkpoint_of_another_table_is_refused(tmp_path: Path) -> None:
    next(_search(tmp_path, table="aaa").run())
    with pytest.raises(CheckpointError, match="written with table aaa, this search has bbb"):
        _search(tmp_path, table="bbb").resume()


def test_a_checkpoint_of_another_version_is_one_clear_error(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    next(_search(tmp_path).run())
    checkpoint = folder.load_newest()
    assert checkpoint is not None
    values = {name: value for name, value in checkpoint.values.items() if name != "strategy"}
    folder.save(type(checkpoint)(1, checkpoint.arrays, values))
    with pytest.raises(CheckpointError, match="another version: strategy"):
        _search(tmp_path).resume()


@pytest.mark.parametrize("n", [1, 7, 30])
@pytest.mark.parametrize("is_saved", [True, False], ids=["saved", "in memory"])
def test_a_search_ends_after_so_many_evaluations_and_goes_on_as_if_it_had_not(
    n: int, is_saved: bool, tmp_path: Path
) -> None:
    straight = [_outcome(generation) for generation in _search().run()]
    folder = tmp_path if is_saved else None
    search = _search(folder)
    list(search.run(max_evaluations=n))
    assert search.ended_by == "max_evaluations"
    assert search.trainer.ledger.evaluations == n
    if is_saved:
        search = _search(folder, seed=5)
        assert search.resume()
    list(search.run())
    assert search.ended_by is None
    assert [_outcome(generation) for generation in search.history] == straight


def test_evaluations_that_are_just_enough_complete_their_generation(tmp_path: Path) -> None:
    search = _search(tmp_path)
    assert len(list(search.run(max_evaluations=6))) == 1
    assert search.trainer.ledger.evaluations == 6
    assert search.trainer.ledger.steps == _SCHEDULE.warm_up_steps
    assert str(search.kept) == "generation 0, complete"
    assert list(search.run(max_evaluations=6)) == []
    assert search.ended_by == "max_evaluations"


class _SparingTrainer(CurveTrainer):
    """Sees the errors of small networks too low, unless it judges by all images."""

    is_sparing = True

    def __init__(self) -> None:
        super().__init__()
        self.by_all, self.last_loss = False, 0.0

    def judge_by_all(self, by_all: bool) -> None:
        self.by_all = by_all

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        found = super().accuracy(architecture, weights)
        return found if self.by_all else found + 0.1 / (1 + sum(architecture))


def _sparing_search(folder: Path, generations: int, **fingerprint: tuple[str, ...]) -> Search:
    space, trainer = TinySpace(), _SparingTrainer()
    strategy = Cars(space, np.random.default_rng(0), population_size=6)
    return Search(
        trainer,
        strategy,
        [Error(trainer), Parameters(space)],
        Schedule(warm_up_steps=5, steps=3, generations=generations),
        checkpoints=CheckpointFolder(folder),
        fingerprint=fingerprint,
    )


def test_what_a_search_ends_with_is_judged_by_all_images(tmp_path: Path) -> None:
    search = _sparing_search(tmp_path, 2)
    *_, last = search.run()
    trainer, own = search.trainer, search.strategy.population
    assert isinstance(trainer, _SparingTrainer)
    by_share = [1.0 - trainer.accuracy(member.architecture) for member in own]
    trainer.judge_by_all(True)
    by_all = [1.0 - trainer.accuracy(member.architecture) for member in own]
    assert [member.costs[0] for member in own] == by_share
    assert [member.costs[0] for member in last.population] == by_all
    assert np.greater(by_all, by_share).all()
    assert last.front == Front(search.strategy.front_of(last.population), last.objectives)


class _ToldLosses(_SparingTrainer):
    """Tells losses, and keeps errors and losses with the weights of the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        found = super().accuracy(architecture, weights)
        self.last_loss = 1.0 / (1 + sum(architecture)) ** 2
        if weights == "current":
            self.seen.append((1.0 - found, self.last_loss))
        return found


def test_errors_on_a_share_of_the_images_are_steadied_by_the_losses() -> None:
    trainer, space = _ToldLosses(), TinySpace()
    strategy = Cars(space, np.random.default_rng(0), population_size=6)
    search = Search(trainer, strategy, [Error(trainer), Parameters(space)], _SCHEDULE)
    for generation in itertools.islice(search.run(), 3):
        errors, losses = np.array(trainer.seen).T
        expected = set(steadied(errors, losses).tolist())
        assert {member.costs[0] for member in generation.population} <= expected
        assert not expected & set(errors.tolist())
        trainer.seen.clear()


def test_losses_that_are_told_are_joined_with_sizes_and_last_until_the_end(tmp_path: Path) -> None:
    trainer, space = _ToldLosses(), TinySpace()
    strategy = Cars(space, np.random.default_rng(0), population_size=6)
    objectives = [Error(trainer), Parameters(space)]
    search = Search(trainer, strategy, objectives, _SCHEDULE, checkpoints=CheckpointFolder(tmp_path))
    *_, last = search.run()
    for members in (last.population, strategy.population):
        assert all(one.estimate is not None for one in members)
    estimates = [one.ranked[0] for one in last.front]
    assert estimates == sorted(estimates)
    again = _ToldLosses()
    resumed = Search(
        again,
        Cars(space, np.random.default_rng(0), population_size=6),
        [Error(again), Parameters(space)],
        _SCHEDULE,
        checkpoints=CheckpointFolder(tmp_path),
    )
    assert resumed.resume()
    assert resumed.history[-1].front == last.front


def test_a_search_that_is_extended_goes_on_by_the_share_as_if_it_had_not_ended(tmp_path: Path) -> None:
    list(_sparing_search(tmp_path / "a", 1).run())
    extended = _sparing_search(tmp_path / "a", 3)
    assert extended.resume()
    straight = _sparing_search(tmp_path / "b", 3)
    expected = [_outcome(generation) for generation in straight.run()]
    assert [_outcome(generation) for generation in extended.run()] == expected[2:]


def test_by_another_table_the_errors_by_all_images_stay(tmp_path: Path) -> None:
    *_, last = _sparing_search(tmp_path, 1, table=("a",)).run()
    moved = _sparing_search(tmp_path, 1, table=("b", "a"))
    assert moved.resume()
    assert moved.history[-1].population == last.population


def test_a_search_without_a_complete_generation_goes_on_from_inside_its_warm_up(tmp_path: Path) -> None:
    clock = itertools.count()  # looked at once before the round, and twice at each safe point
    search = _search(tmp_path, clock=lambda: float(next(clock)))
    assert list(search.run(max_time_s=3.5)) == []
    assert search.ended_by == "max_time"
    assert str(search.kept) == "generation 0 up to training step 2"
    assert CheckpointFolder(tmp_path).load_newest() is None
    resumed = _search(tmp_path, seed=1)
    assert resumed.resume()
    assert resumed.kept == search.kept
    straight = [_outcome(generation) for generation in _search().run()]
    assert [_outcome(generation) for generation in resumed.run()] == straight
    assert resumed.trainer.ledger.steps == _SCHEDULE.total_steps


def test_a_request_ends_a_search_at_the_next_safe_point(tmp_path: Path) -> None:
    search = _search(tmp_path)
    straight = [_outcome(generation) for generation in _search().run()]

    def request(ledger: Ledger) -> None:
        if ledger.steps == 7:
            search.request_end()

    search.trainer.ledger.listener = request
    assert len(list(search.run())) == 1
    assert search.ended_by == "request"
    assert str(search.kept) == "generation 1 up to training step 2"
    search.trainer.ledger.listener = None
    assert [_outcome(generation) for generation in search.run()] == straight[1:]


def test_in_another_accepted_form_what_was_trained_and_evaluated_is_gone_on_with(tmp_path: Path) -> None:
    uninterrupted = _search()
    straight = [_outcome(generation) for generation in uninterrupted.run()]
    search = _search(tmp_path, limits="old")
    list(search.run(max_evaluations=10))
    assert search.kept is not None
    assert (search.kept.generation, search.kept.evaluated) == (1, 4)
    resumed = _search(tmp_path, limits=("new", "old"))
    assert resumed.resume()
    assert resumed.kept == search.kept
    list(resumed.run())
    assert [_outcome(generation) for generation in resumed.history] == straight
    assert resumed.trainer.ledger.steps == _SCHEDULE.total_steps
    assert resumed.trainer.ledger.evaluations == uninterrupted.trainer.ledger.evaluations


def test_a_partial_checkpoint_of_another_table_is_refused(tmp_path: Path) -> None:
    list(_search(tmp_path, table="aaa").run(max_evaluations=1))
    with pytest.raises(CheckpointError, match="written with table aaa, this search has bbb"):
        _search(tmp_path, table="bbb").resume()


def test_a_strategy_that_asks_for_something_else_when_it_is_resumed_is_refused(tmp_path: Path) -> None:
    def search(space: SearchSpace) -> Search:
        trainer = CurveTrainer()
        strategy = Cars(space, np.random.default_rng(0), population_size=6)
        objectives: list[Objective] = [Error(trainer), Parameters(space)]
        return Search(trainer, strategy, objectives, _SCHEDULE, checkpoints=CheckpointFolder(tmp_path))

    list(search(TinySpace()).run(max_evaluations=1))
    changed = search(TinySpace((4, 4, 4, 4)))
    assert changed.resume()
    with pytest.raises(CheckpointError, match=r"asks for 'step [0-9. ]+', and asked for 'step .*delete"):
        list(changed.run())
    with pytest.raises(CheckpointError, match="an error ended this search inside a generation"):
        next(changed.run())


def test_a_checkpoint_is_written_inside_a_generation_when_it_is_due(tmp_path: Path) -> None:
    clock = KillingClock(3)
    with suppress(Killed):
        list(_search(tmp_path, clock=clock).run())
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "0000.0001.partial"}


def test_a_run_of_the_schema_before_goes_on_with_its_history_in_files(tmp_path: Path) -> None:
    next(_search(tmp_path).run())
    folder = CheckpointFolder(tmp_path)
    checkpoint = folder.load_newest()
    assert checkpoint is not None
    _write_as_schema_1(tmp_path / "0000", checkpoint.history)
    resumed = _search(tmp_path)
    assert resumed.resume()
    list(resumed.run())
    straight = [_outcome(generation) for generation in _search().run()]
    assert [_outcome(generation) for generation in resumed.history] == straight
    assert len(list((tmp_path / "history").iterdir())) == len(straight)


def _write_as_schema_1(folder: Path, history: Sequence[object]) -> None:
    shutil.rmtree(folder.parent / "history")
    state = json.loads((folder / "state.json").read_bytes())
    old = {"generation": state["generation"], "values": {**state["values"], "history": history}}
    (folder / "state.json").write_text(json.dumps(old, sort_keys=True))
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("arrays.safetensors", "state.json")
    }
    manifest: dict[str, object] = {"schema": 1, "sha256": hashes}
    manifest["self"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))


def test_a_search_screens_as_its_strategy_says_unless_told_otherwise() -> None:
    default, screened, plain = (
        [_outcome(generation) for generation in _search(screening=screening).run()]
        for screening in (None, True, False)
    )
    assert default == screened != plain
    explicit = Screen([Parameters(TinySpace())], violation=unconstrained)
    assert [_outcome(generation) for generation in _search(screen=explicit).run()] == default


class _TellsLosses(CurveTrainer):
    last_loss = 1.0


def test_where_losses_are_joined_with_sizes_and_nothing_is_limited_nothing_is_screened() -> None:
    space, trainer = TinySpace(), _TellsLosses()
    strategy = Cars(space, np.random.default_rng(0), population_size=6)
    Search(trainer, strategy, [Error(trainer), Parameters(space)], _SCHEDULE)
    assert strategy.facts.screen is None


def _limited(trainer: CurveTrainer, *, screening: bool | None = None) -> Search:
    """Return a search for networks of up to 500 parameters."""
    space = TinySpace()

    def violation(costs: tuple[float, ...]) -> float:
        return max(0.0, costs[1] - 500.0)

    strategy = Cars(space, np.random.default_rng(0), population_size=6, violation=violation)
    return Search(trainer, strategy, [Error(trainer), Parameters(space)], _SCHEDULE, screening=screening)


def _require_small_offspring(search: Search) -> None:
    list(itertools.islice(search.run(), 1))
    strategy, parameters = search.strategy, Parameters(TinySpace())
    members = {member.architecture for member in strategy.population}
    offspring = [architecture for architecture in strategy.ask() if architecture not in members]
    assert offspring
    assert all(parameters(architecture) <= 500 for architecture in offspring)


def test_where_losses_are_joined_with_sizes_limits_alone_screen() -> None:
    search = _limited(_TellsLosses())
    facts = search.strategy.facts
    assert isinstance(facts.screen, Screen)
    assert facts.screen.optimism is None
    assert not facts.by_promise
    _require_small_offspring(search)
    assert _limited(_TellsLosses(), screening=True).strategy.facts.by_promise


def test_the_screen_goes_by_the_limits_of_the_strategy() -> None:
    _require_small_offspring(_limited(CurveTrainer()))


def test_where_errors_stand_still_nothing_is_screened_in_twice() -> None:
    space = TinySpace()
    members = list(itertools.product(*space.allowed))
    trainer = FixedErrors({member: (0.5 + 0.02 * sum(member),) for member in members})
    strategy = RandomSearch(space, np.random.default_rng(0), population_size=20)
    schedule = Schedule(1, 1, 4)
    list(Search(trainer, strategy, [Error(trainer), Parameters(space)], schedule, screening=True).run())
    assert len(set(trainer.asked)) == 5 * 20


def test_without_a_known_cost_nothing_is_screened() -> None:
    trainer = CurveTrainer()
    strategy = Cars(TinySpace(), np.random.default_rng(0), population_size=6)
    assert len(list(Search(trainer, strategy, [Error(trainer)], _SCHEDULE).run())) == 5
    with pytest.raises(ConfigError, match="screening goes by known costs"):
        Search(trainer, strategy, [Error(trainer)], _SCHEDULE, screening=True)


def test_a_screen_for_a_search_without_screening_is_refused() -> None:
    screen = Screen([Parameters(TinySpace())], violation=unconstrained)
    with pytest.raises(ConfigError, match="screening is off"):
        _search(screening=False, screen=screen)


def test_a_checkpoint_without_screening_is_not_gone_on_from_with_it(tmp_path: Path) -> None:
    next(_search(tmp_path, screening=False).run())
    with pytest.raises(CheckpointError, match="without screening"):
        _search(tmp_path).resume()
    assert _search(tmp_path, screening=False).resume()


class ThirdCars(Cars):
    """CARS as if it had gone on otherwise twice before."""

    numerics = 3


class FourthCars(Cars):
    """The same a version later, and under the same name: that of this module."""

    numerics = 4


class SecondTrainer(CurveTrainer):
    """Weights as if training gave others than before."""

    numerics = 2


def test_a_checkpoint_of_other_numerics_is_refused_by_name_with_the_remedy(tmp_path: Path) -> None:
    def search(algorithm: type[Cars], weights: type[CurveTrainer] = CurveTrainer) -> Search:
        space, trainer = TinySpace(), weights()
        strategy = algorithm(space, np.random.default_rng(0), population_size=6)
        objectives: list[Objective] = [Error(trainer), Parameters(space)]
        return Search(trainer, strategy, objectives, _SCHEDULE, checkpoints=CheckpointFolder(tmp_path))

    next(search(ThirdCars).run())
    assert search(ThirdCars).resume()
    with pytest.raises(CheckpointError, match=r"numerics of .*test_search 3.* 4 by now.*another folder"):
        search(FourthCars).resume()
    with pytest.raises(CheckpointError, match=r"numerics of the weights 1, which are 2 by now"):
        search(ThirdCars, SecondTrainer).resume()


class FixedErrors(tabular_trainer.TabularTrainer):
    """A table of accuracies at one epoch, that remembers what is looked up."""

    def __init__(self, accuracies: Mapping[Architecture, tuple[float, ...]]) -> None:
        super().__init__(accuracies)
        self.asked: list[Architecture] = []

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        self.asked.append(architecture)
        return super().accuracy(architecture, weights)


class Witness(CurveTrainer):
    """Remembers what it is asked for, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        super().activate(space, soft_path=soft_path)
        self.events.append(f"activate {space.size()}{' soft' if soft_path else ''}")

    def reset(self, steps: int) -> None:
        super().reset(steps)
        self.events.append("reset")

    def remember(self) -> None:
        super().remember()
        self.events.append("remember")

    def step(self, architectures: Sequence[Architecture]) -> float:
        if self.events[-1] != "train":
            self.events.append("train")
        return super().step(architectures)

    def restore(self, state: TrainerState) -> None:
        super().restore(state)
        self.events.append("restore")


class Growing(Cars):
    """CARS whose space grows by an option each round, and whose weights start anew in every other one."""

    soft_path = True

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, np.random.default_rng(0), population_size=4)
        self.whole, self.rounds = space, 0
        self.space = space.restrict([(0,), *space.allowed[1:]])

    def train(self, trainer: Trainer, steps: int) -> None:
        if self.rounds % 2 == 0:
            trainer.reset(steps)
        super().train(trainer, steps)

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        super().tell(evaluated)
        self.grow(self.rounds + 1)

    def grow(self, rounds: int) -> None:
        self.rounds = rounds
        self.space = self.whole.restrict([range(1 + rounds), *self.whole.allowed[1:]])

    def state(self) -> dict[str, Json]:
        return {**super().state(), "rounds": self.rounds}

    def restore(self, state: Mapping[str, Json]) -> None:
        super().restore({name: value for name, value in state.items() if name != "rounds"})
        self.grow(int(str(state["rounds"])))


def _growing(folder: Path) -> tuple[Search, Witness]:
    space, trainer = TinySpace((4, 2), ((0,), (1,))), Witness()
    objectives: list[Objective] = [Error(trainer), Parameters(space)]
    schedule = Schedule(warm_up_steps=2, steps=2, generations=2)
    return Search(
        trainer, Growing(space), objectives, schedule, checkpoints=CheckpointFolder(folder)
    ), trainer


def test_the_space_is_active_before_it_is_trained_and_weights_are_reset_where_asked(tmp_path: Path) -> None:
    search, trainer = _growing(tmp_path)
    list(search.run())
    assert trainer.events == [
        *("activate 2 soft", "train"),
        *("activate 4 soft", "remember", "train"),
        *("activate 6 soft", "remember", "reset", "train"),
        "activate 8 soft",
    ]


def test_a_resumed_search_restores_the_space_first_and_then_its_weights(tmp_path: Path) -> None:
    search, _ = _growing(tmp_path)
    run = search.run()
    next(run)
    next(run)
    resumed, trainer = _growing(tmp_path)
    assert resumed.resume()
    list(resumed.run())
    assert trainer.events == [
        *("activate 2 soft", "activate 6 soft", "restore"),
        *("remember", "reset", "train"),
        "activate 8 soft",
    ]


def test_the_strategy_hears_how_many_generations_there_are(tmp_path: Path) -> None:
    search, _ = _growing(tmp_path)
    assert search.strategy.facts.generations == 2


_CONFIG = f"""{TINIEST}
[search]
warm_up_epochs = 0.1
epochs_per_generation = 0.15
generations = 2
[strategy]
population_size = 4
"""


#: The same search in Python, whose process is killed in the middle of the training of generation 1.
_STRUCK = """
import os, signal, sys
import cars_hw
run, config, table = sys.argv[1:]
search = cars_hw.open_search(
    cars_hw.Run.create(run, cars_hw.SearchConfig.load(config, {"latency.table": table}))
)
schedule = search.schedule
assert schedule.steps > 1
deadly = schedule.warm_up_steps + schedule.steps // 2

def strike(ledger):
    if ledger.steps == deadly:
        os.kill(os.getpid(), signal.SIGKILL)

search.trainer.ledger.listener = strike
list(search.run())
"""


def _command(folder: Path, run: str) -> list[str]:
    verb = [
        sys.executable,
        "-c",
        "from cars_hw.cli import main; main()",
        "search",
        "--run",
        str(folder / run),
    ]
    return [
        *verb,
        "--config",
        str(folder / "config.toml"),
        "--table",
        str(folder / "table.jsonl"),
        "--resume",
    ]


def _fingerprint(run: Path) -> dict[str, object]:
    """Hash weights, optimiser, population and generators of a run's last checkpoint."""
    newest = max((run / "checkpoints").glob("[0-9]*"))
    state = json.loads((newest / "state.json").read_text())
    return {
        "generation": state["generation"],
        "arrays": hashlib.sha256((newest / "arrays.safetensors").read_bytes()).hexdigest(),
        "strategy": state["values"]["strategy"],
        "batches": state["values"]["trainer"]["batches"],
    }


@pytest.mark.slow
def test_a_search_killed_in_mid_generation_ends_with_the_same_weights_and_population(tmp_path: Path) -> None:
    config, table = tmp_path / "config.toml", tmp_path / "table.jsonl"
    config.write_text(_CONFIG)
    straight = cars_hw.SearchConfig.load(config, {"latency.table": str(table)})
    write_table(table, make_space(straight))
    list(cars_hw.open_search(cars_hw.Run.create(tmp_path / "straight", straight)).run())
    command = [sys.executable, "-c", _STRUCK, *map(str, (tmp_path / "killed", config, table))]
    struck = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert struck.returncode == -signal.SIGKILL, struck.stderr
    assert _fingerprint(tmp_path / "killed")["generation"] == 0
    finished = subprocess.run(
        _command(tmp_path, "killed"), check=True, capture_output=True, text=True, timeout=300
    )
    assert "going on after generation 0" in finished.stderr
    assert _fingerprint(tmp_path / "killed") == _fingerprint(tmp_path / "straight")
    checkpoint = CheckpointFolder(tmp_path / "killed" / "checkpoints").load_newest()
    assert checkpoint is not None
    assert [generation.index for generation in read_record(checkpoint).history] == [0, 1, 2]


class TimesSizes(Objective):
    """A latency that grows with the options, by a factor that each table has."""

    name = "latency_ms"

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self, architecture: Architecture, /) -> float:
        return self._factor * (1.0 + sum(architecture))


@pytest.mark.parametrize("strategy", strategies.names())
@pytest.mark.parametrize("limit", [12.0, pytest.param(None, marks=pytest.mark.slow)])
def test_by_another_table_everything_known_of_the_population_is_that_of_the_new_one(
    strategy: str, limit: float | None, tmp_path: Path
) -> None:
    def search(factor: float, *tables: str) -> Search:
        space, trainer = TinySpace(), CurveTrainer()
        costs: list[Objective] = [Error(trainer), TimesSizes(factor)]
        violation = Limits(["error", "latency_ms"], {"latency_ms": limit} if limit else {})
        return Search(
            trainer,
            strategies.load(
                strategy, space, np.random.default_rng(0), violation=violation, population_size=6
            ),
            costs,
            _SCHEDULE,
            checkpoints=CheckpointFolder(tmp_path),
            fingerprint={"latency table": tables},
            screen=Screen(costs[1:], violation=violation, pool_size=20),
        )

    *_, before = itertools.islice(search(1.0, "a").run(), 3)
    moved = search(3.0, "b", "a")
    assert moved.resume()
    anew = moved.history[-1]
    assert [member.costs for member in anew.population] == [
        (member.costs[0], 3.0 * member.costs[1]) for member in before.population
    ]
    assert moved.strategy.population == anew.population
    if limit and any(member.costs[1] <= limit for member in anew.population):
        assert all(member.costs[1] <= limit for member in anew.front)
    for generation in moved.run():
        for member in generation.population:
            assert member.costs[1] == 3.0 * (1.0 + sum(member.architecture))
    with pytest.raises(CheckpointError, match="latency table b, this search has a"):
        search(1.0, "a").resume()


def test_what_is_judged_anew_is_saved_though_no_generation_is_left(tmp_path: Path) -> None:
    list(_search(tmp_path, table="aaa").run())
    moved = _search(tmp_path, table=("bbb", "aaa"))
    assert moved.resume()
    assert list(moved.run()) == []
    found = CheckpointFolder(tmp_path).load_newest()
    assert found is not None
    assert read_record(found).fingerprint["table"] == "bbb"
