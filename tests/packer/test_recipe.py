"""What makes another machine image, and what does not."""

import shutil
from pathlib import Path

import pytest

from homeport.images import recipe

ARCHIVE = Path("/one/homeport-app-0123456789ab.tar")


@pytest.fixture
def repository(tmp_path):
    for name in (
        "ansible/image.yml",
        "ansible/requirements.yml",
        "ansible/README.md",
        "ansible/inventory/example.yml",
        "ansible/collections/ansible_collections/a.py",
        "ansible/roles/service/tasks/main.yml",
        "ansible/roles/service/molecule/default/molecule.yml",
        "packer/build.pkr.hcl",
        "packer/README.md",
        "packer/1.6/amazon.pkr.hcl",
        "packer/steps/clean-up",
        "packer/debian/build",
    ):
        file = tmp_path / "repository" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "repository"


def digest(repository, base="b", archive=ARCHIVE):
    return recipe.digest(repository, base=base, archive=archive)


def test_same_content_is_the_same_image(repository, tmp_path):
    copy = shutil.copytree(repository, tmp_path / "elsewhere")
    (copy / "ansible" / "image.yml").touch()
    assert digest(copy, archive=Path("/other") / ARCHIVE.name) == digest(repository)
    assert len(digest(repository)) == 64


@pytest.mark.parametrize(
    "name",
    [
        "ansible/image.yml",
        "ansible/requirements.yml",
        "ansible/roles/service/tasks/main.yml",
        "packer/build.pkr.hcl",
        "packer/1.6/amazon.pkr.hcl",
        "packer/steps/clean-up",
    ],
)
def test_changed_by(repository, name):
    before = digest(repository)
    (repository / name).write_text("another")
    assert digest(repository) != before


@pytest.mark.parametrize(
    "name",
    [
        "ansible/README.md",
        "ansible/inventory/example.yml",
        "ansible/collections/ansible_collections/a.py",
        "ansible/roles/service/molecule/default/molecule.yml",
        "packer/README.md",
        # Its own recipe stands for it.
        "packer/debian/build",
        "ansible/.collections.x/a.py",
        "ansible/roles/service/__pycache__/a.pyc",
    ],
)
def test_not_changed_by(repository, name):
    before = digest(repository)
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("another")
    assert digest(repository) == before


def test_changed_by_a_new_file_a_new_name_and_the_right_to_run(repository):
    seen = {digest(repository)}
    tasks = repository / "ansible/roles/service/tasks"
    (tasks / "new.yml").write_text("")
    seen.add(digest(repository))
    (tasks / "new.yml").rename(tasks / "newer.yml")
    seen.add(digest(repository))
    (tasks / "newer.yml").chmod(0o755)
    seen.add(digest(repository))
    assert len(seen) == 4


def test_changed_by_base_and_archive(repository):
    assert len({digest(repository), digest(repository, base="c"), digest(repository, archive=Path("other.tar"))}) == 3
