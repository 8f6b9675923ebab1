"""One file, one kind: what lies in a plural folder can be chosen, and nothing else."""

import pytest
from pydantic import TypeAdapter, ValidationError

from pixeltwin import kinds

FOLDERS = [
    *("pixeltwin.outboxes", "pixeltwin.memories", "pixeltwin.sources", "pixeltwin.mapping.elements"),
    *("pixeltwin.mapping.transforms", "pixeltwin.consent.signals", "pixeltwin.privacy.filters"),
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_a_folder_is_a_kind_named_after_it(folder):
    names = {module.__name__.rpartition(".")[2] for module in kinds.modules(folder)}
    chosen = {settings.model_fields["kind"].annotation.__args__[0] for settings in kinds.settings(folder)}
    assert names == chosen != set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_settings_are_frozen_and_refuse_unknown_keys(folder):
    for settings in kinds.settings(folder):
        assert settings.model_config["frozen"]
        assert settings.model_config["extra"] == "forbid"


def test_a_union_picks_the_kind_and_names_those_there_are():
    adapter = TypeAdapter(kinds.union("pixeltwin.outboxes"))
    assert kinds.module_of(adapter.validate_python({"kind": "memory"})).__name__ == "pixeltwin.outboxes.memory"
    with pytest.raises(ValidationError, match="sqlite"):
        adapter.validate_python({"kind": "rabbit"})
