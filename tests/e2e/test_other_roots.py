"""A shell with the region's settings and other roots of Terraform: neither touches the other's state."""

import json
import shlex

import pytest

from homeport.images.register import pointer
from homeport.local import rehearsal
from homeport.region import access
from tests.fleets import HOMEPORT, ROOT, free_port, run, state_folder

STATE_BUCKET = "homeport-state-local"
STRANGER = """
terraform {
  backend "%s" {
    %s
  }
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

# Of the platform's names, with other meanings.
variable "vpc_cidr" {
  default = "mine"
}

resource "aws_ssm_parameter" "mine" {
  name  = "/stranger/%s"
  type  = "String"
  value = var.vpc_cidr
}
"""
BACKENDS = {
    "local": "",
    "s3": 'bucket = "state-of-a-stranger"\n    key = "platform.tfstate"\n    region = "eu-central-1"',
}


def make_bucket(s3, name):
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": access.REGION_NAME})


def objects(fleet, bucket):
    found = fleet.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return {entry["Key"]: (entry["ETag"], entry["LastModified"]) for entry in found}


def assert_the_platform_is_as_it_was(fleet, before):
    assert objects(fleet, STATE_BUCKET) == before
    plan = fleet.terraform("plan", "-detailed-exitcode", "-no-color", "-input=false", check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_root_of_one_s_own_has_its_own_backend_state_and_variables(whole_fleet, tmp_path, backend):
    before = objects(whole_fleet, STATE_BUCKET)
    assert set(before) == {"platform.tfstate"}
    (tmp_path / "main.tf").write_text(STRANGER % (backend, BACKENDS[backend], backend))
    s3 = whole_fleet.client("s3")
    if backend == "s3":
        make_bucket(s3, "state-of-a-stranger")
    done = whole_fleet.shell(
        f"cd {shlex.quote(str(tmp_path))}\n"
        "terraform init -input=false -no-color\n"
        "terraform plan -input=false -no-color\n"
        "terraform apply -input=false -no-color -auto-approve\n"
    )
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in done.stdout
    mine = whole_fleet.client("ssm").get_parameter(Name=f"/stranger/{backend}")["Parameter"]
    assert mine["Value"] == "mine"
    if backend == "local":
        states = [(tmp_path / "terraform.tfstate").read_text()]
    else:
        kept = s3.get_object(Bucket="state-of-a-stranger", Key="platform.tfstate")
        states = [kept["Body"].read()]
    assert [[r["type"] for r in json.loads(state)["resources"]] for state in states] == [["aws_ssm_parameter"]]
    assert (tmp_path / ".terraform").is_dir()
    assert_the_platform_is_as_it_was(whole_fleet, before)
    whole_fleet.shell(f"cd {shlex.quote(str(tmp_path))} && terraform destroy -no-color -auto-approve")
    assert_the_platform_is_as_it_was(whole_fleet, before)


def test_dev_of_the_same_checkout_stops_at_its_own_state(whole_fleet, tmp_path):
    """In such a shell AWS is the region, and dev's state is not there: no plan is made, of dev or of local."""
    before = objects(whole_fleet, STATE_BUCKET)
    files = f"{ROOT}/terraform/environments"
    bucket = "homeport-state-dev-111122223333"
    terraform = f"TF_DATA_DIR={shlex.quote(str(tmp_path))} terraform -chdir={ROOT}/terraform/platform"
    init = (
        f"{terraform} init -input=false -no-color -lockfile=readonly "
        f"-backend-config={files}/dev.s3.tfbackend -backend-config=bucket={bucket}"
    )
    refused = whole_fleet.shell(init, check=False)
    assert refused.returncode != 0
    assert f'S3 bucket "{bucket}" does not exist' in refused.stderr
    # What an earlier init against the account has left in this folder.
    s3 = whole_fleet.client("s3")
    make_bucket(s3, bucket)
    whole_fleet.shell(init)
    s3.delete_bucket(Bucket=bucket)
    for command in ("plan", "apply -auto-approve"):
        words = f"{terraform} {command} -input=false -no-color -var-file={files}/dev.tfvars"
        refused = whole_fleet.shell(words, check=False)
        assert refused.returncode != 0
        assert f'S3 bucket "{bucket}" does not exist' in refused.stderr
    # And dev's folder is not in the way of the platform's own.
    assert_the_platform_is_as_it_was(whole_fleet, before)


def test_two_fleets_of_one_checkout(whole_fleet):
    before = objects(whole_fleet, STATE_BUCKET)
    first, image = access.running(whole_fleet.state), pointer(rehearsal.ENVIRONMENT)
    with state_folder() as state:
        run(HOMEPORT, "region", "up", "--state", str(state.root), "--port", str(free_port()))
        second = access.running(state)
        reach = access.settings(second, access.read_keys(state))
        make_bucket(access.client("s3", reach), STATE_BUCKET)
        access.client("ssm", reach).put_parameter(Name=image, Type="String", Value="ami-12345678")

        # In a shell of the first fleet, with the option of the second.
        def terraform(*arguments):
            return whole_fleet.shell(shlex.join([str(HOMEPORT), "terraform", "--state", str(state.root), *arguments]))

        terraform("init", "-input=false", "-lockfile=readonly")
        saved = str(state.root / "terraform" / "saved")
        assert "41 to add, 0 to change, 0 to destroy" in terraform("plan", "-no-color", f"-out={saved}").stdout
        planned = json.loads(terraform("show", "-json", saved).stdout)["variables"]
        assert planned["vpc_cidr"]["value"] == second.network != first.network
        assert_the_platform_is_as_it_was(whole_fleet, before)
