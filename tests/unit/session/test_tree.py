"""The tree of turns: branches, siblings, and what is shown after each change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.session.tree import Tree, text_parts
from gemma_backend.types import Node, TextPart


def say(tree: Tree, text: str, parent: int | None) -> int:
    return tree.add(
        "user" if len(tree.path(parent) if parent else []) % 2 == 0 else "assistant", text_parts(text), parent
    ).id


def words(tree: Tree) -> list[str]:
    return [node.text for node in tree.path()]


@pytest.fixture
def branched() -> tuple[Tree, dict[str, int]]:
    """q1 has the replies a1, a2; a1 goes on with q2 (a3), a2 with q3."""
    tree, ids = Tree(), {}
    for name, parent in (("q1", None), ("a1", "q1"), ("q2", "a1"), ("a3", "q2"), ("a2", "q1"), ("q3", "a2")):
        ids[name] = say(tree, name, ids[parent] if parent else None)
    return tree, ids


def test_a_new_turn_is_shown(branched: tuple[Tree, dict[str, int]]) -> None:
    tree, ids = branched
    assert words(tree) == ["q1", "a2", "q3"]
    assert tree.siblings(ids["a2"]) == (2, 2)
    assert tree.siblings(ids["q1"]) == (1, 1)
    assert tree.sibling(ids["a2"], -1) == ids["a1"]
    assert tree.sibling(ids["a2"], 1) is None


def test_going_back_to_a_branch_shows_it_as_it_was_left(branched: tuple[Tree, dict[str, int]]) -> None:
    tree, ids = branched
    say(tree, "other", ids["a1"])
    tree.show(ids["q2"])
    assert words(tree) == ["q1", "a1", "q2", "a3"]
    tree.show(ids["a2"])
    assert words(tree) == ["q1", "a2", "q3"]
    tree.show(ids["a1"])
    assert words(tree) == ["q1", "a1", "q2", "a3"]


def test_removing_shows_what_is_beside_or_before(branched: tuple[Tree, dict[str, int]]) -> None:
    tree, ids = branched
    tree.remove(ids["a2"])
    assert words(tree) == ["q1", "a1", "q2", "a3"]
    assert "q3" not in [node.text for node in tree.nodes]
    tree.remove(ids["q2"])
    assert words(tree) == ["q1", "a1"]
    tree.remove(ids["q1"])
    assert words(tree) == []
    assert len(tree) == 0


def test_removing_another_branch_leaves_what_is_shown(branched: tuple[Tree, dict[str, int]]) -> None:
    tree, ids = branched
    tree.remove(ids["a1"])
    assert words(tree) == ["q1", "a2", "q3"]
    assert tree.siblings(ids["a2"]) == (1, 1)


def test_a_copy_has_one_branch_and_its_own_numbers(branched: tuple[Tree, dict[str, int]]) -> None:
    tree, ids = branched
    tree.change(Node(ids["a1"], ids["q1"], "assistant", (TextPart("a1"),), "running", reasoning="hm", created=5.0))
    copy = tree.copy(ids["q2"])
    assert words(copy) == ["q1", "a1", "q2"]
    assert not {node.id for node in copy.nodes} & {node.id for node in tree.nodes}
    reply = copy.path()[1]
    assert (reply.state, reply.reasoning, reply.created) == ("stopped", "hm", 5.0)


def test_a_turn_whose_parent_is_missing_is_still_seen() -> None:
    tree = Tree([Node(5, 99, "user", (TextPart("lost"),)), Node(6, 5, "assistant", ())])
    assert words(tree) == ["lost", ""]


def test_a_parent_may_be_numbered_after_its_child() -> None:
    tree = Tree([Node(1, 2, "assistant", (TextPart("b"),)), Node(2, None, "user", (TextPart("a"),))])
    assert words(tree) == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from(["add", "show", "remove"]), st.integers(0, 30)), max_size=40))
def test_whatever_is_done_the_path_leads_to_the_leaf(steps: list[tuple[str, int]]) -> None:
    tree = Tree()
    for what, number in steps:
        nodes = tree.nodes
        node = nodes[number % len(nodes)] if nodes else None
        if what == "add":
            say(tree, "x", node.id if node else None)
        elif node is not None and what == "show":
            tree.show(node.id)
            assert node.id in [turn.id for turn in tree.path()]
        elif node is not None:
            tree.remove(node.id)
        path = tree.path()
        assert (tree.leaf is None) == (len(tree) == 0)
        assert [turn.parent for turn in path] == [None, *[turn.id for turn in path[:-1]]][: len(path)]
        assert not path or tree.children(path[-1].id) == []
        assert Tree(tree.nodes, tree.leaf).path() == path
        # Each turn comes after its parent.
        seen: set[int | None] = {None}
        for turn in tree.nodes:
            assert turn.parent in seen
            seen.add(turn.id)
        assert len(seen) == len(tree) + 1
