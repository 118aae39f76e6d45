mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
}

variables {
  environment = "test"
}

# Plans, because prevent_destroy would keep a test from cleaning up.
run "a_bucket_of_this_account" {
  command = plan

  assert {
    condition     = aws_s3_bucket.state.bucket == "homeport-state-test-111122223333"
    error_message = "The account's id makes the name unique."
  }
}

run "private_versioned_encrypted" {
  command = plan

  assert {
    condition = (
      aws_s3_bucket_public_access_block.state.block_public_acls
      && aws_s3_bucket_public_access_block.state.block_public_policy
      && aws_s3_bucket_public_access_block.state.ignore_public_acls
      && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    )
    error_message = "Nothing of the state may become public."
  }

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "A spoilt state can be brought back."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "The state is encrypted at rest."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.state.rule[0].noncurrent_version_expiration[0].noncurrent_days == 90
    error_message = "Superseded versions go after 90 days."
  }
}

run "tls_only" {
  command = plan

  override_resource {
    target          = aws_s3_bucket.state
    override_during = plan
    values          = { arn = "arn:aws:s3:::homeport-state-test-111122223333" }
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.state.policy).Statement == [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::homeport-state-test-111122223333", "arn:aws:s3:::homeport-state-test-111122223333/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "Requests without TLS are denied, for the bucket and all in it."
  }
}

run "own_name" {
  command = plan

  variables {
    bucket = "another-name"
  }

  assert {
    condition     = aws_s3_bucket.state.bucket == "another-name"
    error_message = "A name given is the name."
  }
}

run "refuses_a_bad_bucket_name" {
  command = plan

  variables {
    bucket = "Homeport_State"
  }

  expect_failures = [var.bucket]
}

run "refuses_a_bad_environment" {
  command = plan

  variables {
    environment = "eu-prod"
  }

  expect_failures = [var.environment]
}

run "refuses_to_keep_nothing" {
  command = plan

  variables {
    noncurrent_version_days = 0
  }

  expect_failures = [var.noncurrent_version_days]
}

run "refuses_a_zone_as_region" {
  command = plan

  variables {
    region = "eu-central-1a"
  }

  expect_failures = [var.region]
}
