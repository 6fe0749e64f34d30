"""The call trees of two sides, for the page of a comparison: the same in any split, within a bound, if asked for."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from functools import reduce

import pytest

from profkit_analyzers import ProcessPool, ProfileComparer, Source
from profkit_analyzers.changes.sides import ALL, Sides
from profkit_analyzers.pictures import trees
from profkit_analyzers.pictures.pictures import TwoSides
from profkit_storage import MemoryStorage, State, open_storage
from profkit_storage.categories import default_categories
from tests.analyzers.corpus import put_versions


def test_the_json_is_the_same_with_pictures_and_without(compared, make_profile):
    plain = ProfileComparer().versions(put_versions(MemoryStorage(), make_profile), "1.0", "1.1")
    assert plain.pictures is None
    assert replace(compared, pictures=None) == plain
    assert json.dumps(compared.to_dict()) == json.dumps(plain.to_dict())


def test_the_trees_are_of_each_side_and_have_all_its_seconds(compared):
    pictures = compared.pictures
    assert isinstance(pictures, TwoSides)
    assert set(pictures.before) == {"checkout", "chat"}
    assert set(pictures.after) == {"checkout", "chat", "basket"}
    for trees_, side in ((pictures.before, compared.before), (pictures.after, compared.after)):
        assert sum(tree.seconds for tree in trees_.values()) == pytest.approx(side.seconds, rel=1e-6)


def test_processes_and_chunks_give_the_same_pictures(make_profile, tmp_path, monkeypatch):
    with open_storage(tmp_path / "store") as storage:
        put_versions(storage, make_profile)
        whole = ProfileComparer().versions(storage, "1.0", "1.1", pictures=True)
        monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 70)
        for engine in (None, ProcessPool(2)):
            found = ProfileComparer(engine=engine).versions(storage, "1.0", "1.1", pictures=True)
            assert found == whole
        monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 500)
        fewer = ProfileComparer().sources(Source(storage), Source(storage), pictures=True)
    assert fewer.pictures.before == fewer.pictures.after != whole.pictures.before


@pytest.mark.parametrize("limit", [8, 30, 100_000])
def test_any_split_gives_the_same_trees_within_the_bound(make_profile, frames, monkeypatch, limit):
    monkeypatch.setattr(trees, "MAX_ENTRIES", limit)
    table = default_categories()

    def made(seed):
        source = random.Random(seed)
        for _ in range(12):
            stacks = [
                ([frames.app(f"app:f{source.randrange(4)}") for _ in range(source.randint(1, 5))], 0.5)
                for _ in range(source.randint(1, 6))
            ]
            states = [source.choice([State.RUNNING, State.WAITING]) for _ in stacks]
            yield make_profile(operation=source.choice("abc"), stacks=stacks, states=states, children=())

    def summed(profiles):
        sides = Sides(detail=True)
        for profile in profiles:
            sides.add(profile, ALL, table, pictured=True)
        return sides

    for seed in range(6):
        profiles = list(made(seed))
        whole = summed(profiles).sides[ALL].trees.trees()
        assert sum(tree.seconds for tree in whole.values()) == pytest.approx(
            sum(profile.wall * profile.weight for profile in profiles)
        )
        assert sum(len(tree.nodes) for tree in whole.values()) <= limit
        for size in (1, 5):
            parts = [summed(profiles[at : at + size]) for at in range(0, len(profiles), size)]
            random.Random(size).shuffle(parts)
            pickled = [pickle.loads(pickle.dumps(part)) for part in parts]
            merged = reduce(lambda one, two: one.merge(two) or one, pickled, Sides(detail=True))
            assert merged.sides[ALL].trees.trees() == whole


def test_operations_inside_others_are_drawn_in_these_alone(make_profile):
    sides = Sides(detail=True)
    sides.add(make_profile(operation="o"), ALL, default_categories(), pictured=True)
    sides.add(make_profile(operation="i"), ALL, default_categories(), nested=True, pictured=True)
    assert set(sides.sides[ALL].trees.trees()) == {"o"}
    assert sides.nested().sides[ALL].trees.trees() == {}
